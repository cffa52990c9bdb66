"""remediator.yml as pydantic reads it: the keys, their types and their defaults.

Rule: only what one value can say about itself. What needs two values (a name that must
lead somewhere) is checked in `remediator/config.py`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from remediator.durations import Seconds

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
Url = Annotated[str, Field(pattern=r"^(http|https|tcp|unix)://[^\s]+$")]
Listen = Annotated[str, Field(pattern=r"^[^\s:]+:\d{1,5}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Positive = Annotated[Seconds, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class WebhookSection(Section):
    token_file: str
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024


class PrometheusSection(Section):
    url: Url
    freshness_job: Name = "stackmedic-exporter"
    max_data_age: Positive = 45.0


class UrlSection(Section):
    url: Url


class GlobalLimits(Section):
    runs_per_hour: Annotated[int, Field(ge=0)] = 6
    runs_per_day: Annotated[int, Field(ge=0)] = 12


class RedisSection(Section):
    host: str
    port: Port = 6379
    cache_db: Annotated[int, Field(ge=0, le=1024)]
    password_file: str | None = None


class PostgresSection(Section):
    host: str
    port: Port = 5432
    database: str
    user: str
    password_file: str | None = None


class SwitchSection(Section):
    file: str
    nginx: Name
    live_url: Url
    colours: Annotated[dict[Name, Name], Field(min_length=2)]
    ready_probes: dict[Name, Name]

    @model_validator(mode="after")
    def each_colour_has_a_probe(self) -> "SwitchSection":
        if set(self.colours) != set(self.ready_probes):
            raise ValueError("colours and ready_probes must name the same colours")
        return self


class TargetSection(Section):
    tier: Literal["data", "app", "edge"]
    container: Name | None = None
    probes: list[Name] = Field(default_factory=list)
    depends_on: list[Name] = Field(default_factory=list)
    redis: RedisSection | None = None
    address: PostgresSection | None = None
    switch: SwitchSection | None = None


class TargetRef(Section):
    """Written as a topology key alone, or as `{from_label: <label>}`."""

    key: Name | None = None
    from_label: Name | None = None

    @model_validator(mode="after")
    def is_one_way(self) -> "TargetRef":
        if (self.key is None) == (self.from_label is None):
            raise ValueError("write a topology key, or {from_label: <label>}")
        return self


def _key_alone(value: object) -> object:
    return {"key": value} if isinstance(value, str) else value


class PromqlSection(Section):
    expr: Annotated[str, Field(min_length=1)]
    above: float | None = None
    below: float | None = None
    no_data: Literal["inconclusive"] = "inconclusive"

    @model_validator(mode="after")
    def has_a_bound(self) -> "PromqlSection":
        if self.above is None and self.below is None:
            raise ValueError("say above, below or both")
        return self


def _own_probes(value: object) -> object:
    """`target` -> the empty list, which no one may write: the probes of the target itself."""
    if value == "target":
        return []
    if value == []:
        raise ValueError("name at least one probe, or say target")
    return value


class CheckSection(Section):
    running: Literal[True] | None = None
    probes: Annotated[list[Name] | None, BeforeValidator(_own_probes)] = None
    alert: Literal["cleared"] | None = None
    promql: PromqlSection | None = None

    @model_validator(mode="after")
    def is_one_check(self) -> "CheckSection":
        if len(self.model_fields_set) != 1:
            raise ValueError("a check is exactly one of running, probes, alert, promql")
        return self


class VerifySection(Section):
    within: Positive
    interval: Positive = 1.0
    consecutive: Annotated[int, Field(ge=1, le=100)] = 3
    all: Annotated[list[CheckSection], Field(min_length=1)]


class RunLimitsSection(Section):
    cooldown: Seconds
    attempts: Annotated[int, Field(ge=1)]
    per: Positive


class StepSection(Section):
    id: Name
    action: Name
    with_: dict[str, object] = Field(default_factory=dict, alias="with")
    timeout: Positive
    repeat: Literal["never", "if_not_done"]


class RunbookSection(Section):
    id: Name
    alerts: list[Name]
    target: Annotated[TargetRef, BeforeValidator(_key_alone)]
    risk: Literal["safe", "disruptive", "data"]
    firing_for: Seconds = 0.0
    limits: RunLimitsSection
    steps: Annotated[list[StepSection], Field(min_length=1)]
    verify: VerifySection
    ladder: list[Name] = Field(default_factory=list)


class ConfigFile(Section):
    version: Literal[1]
    mode: Literal["observe", "auto"] = "observe"
    listen: Listen = "0.0.0.0:9181"
    state_file: str
    webhook: WebhookSection
    prometheus: PrometheusSection
    alertmanager: UrlSection
    exporter: UrlSection
    docker: UrlSection
    external_url: Url = "http://localhost:9181"
    reconcile_interval: Positive = 15.0
    dependency_settle: Seconds = 30.0
    limits: GlobalLimits = GlobalLimits()
    topology: Annotated[dict[Name, TargetSection], Field(min_length=1)]
    runbooks: Annotated[list[RunbookSection], Field(min_length=1)]
