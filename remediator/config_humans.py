"""The sections of remediator.yml about who is told, and how it is noticed when nobody can be.

Rule: all of them are off until they are configured.
"""

from typing import Annotated

from pydantic import Field, model_validator

from remediator.config_values import Name, Positive, Section


class WatchdogSection(Section):
    alert: Name = "Watchdog"
    """The alert that always fires; Alertmanager must route it here too."""
    missing_after: Positive = 300.0
    """A human is called when it has not been told for so long."""


class HeartbeatSection(Section):
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    """Is asked with GET, and answers with a 2xx status."""
    interval: Positive = 60.0
    """The time between two; the outside service should wait for two or three."""


class GithubSection(Section):
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]
    """Where issues are written, as `owner/name`."""
    token_file: str
    """Holds a token that may write issues of this repository, and nothing else."""
    api_url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] = "https://api.github.com"
    """The API, for a GitHub of your own."""


class ActiveUsersSection(Section):
    promql: Annotated[str, Field(min_length=1)] | None = None
    """A query of Prometheus, such as one for a series of your application."""
    sql: Annotated[str, Field(min_length=1)] | None = None
    """A query whose first value is the number; its session may only read."""
    target: Name | None = None
    """The topology key whose address the SQL is asked at."""

    @model_validator(mode="after")
    def is_one_way(self) -> "ActiveUsersSection":
        if (self.promql is None) == (self.sql is None) or (self.sql is None) != (
            self.target is None
        ):
            raise ValueError("write promql, or sql with its target")
        return self
