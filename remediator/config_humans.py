"""The sections of remediator.yml about who is told, and how it is noticed when nobody can be.

Rule: all of them are off until they are configured.
"""

from typing import Annotated

from pydantic import Field

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
