"""remediator.yml as pydantic reads it: the keys, their types and their defaults.

Rule: only what one value can say about itself. What needs two values (a name that must
lead somewhere) is checked in `remediator/config.py`.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from remediator.config_console import ConsoleSection
from remediator.config_guards import (
    ApprovalSection,
    BreakerSection,
    GlobalLimits,
    GroupSection,
    StormSection,
    WindowSection,
)
from remediator.config_humans import (
    ActiveUsersSection,
    GithubSection,
    HeartbeatSection,
    WatchdogSection,
)
from remediator.config_journal import JournalSection
from remediator.config_stack import StackSection
from remediator.config_values import Listen, Name, Port, Positive, Section, Url
from remediator.durations import Seconds


class WebhookSection(Section):
    token_file: str
    """Holds the bearer token that Alertmanager and readers of the API must send."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    """A larger body is refused with 413."""


class PrometheusSection(Section):
    url: Url
    """Where to ask whether an alert still fires."""
    freshness_job: Name = "stackmedic-exporter"
    """The scrape job whose data must be fresh before anything is touched."""
    max_data_age: Positive = 45.0
    """Data older than this blocks every run."""
    steady: Seconds = 60.0
    """For so long no scrape may have failed before an alert that is gone counts as ended: a rule
    with `for` needs a while to fire again after a gap."""


class UrlSection(Section):
    url: Url
    """Where it listens, as seen from the remediator."""


class RedisSection(Section):
    host: str
    """Host name or address."""
    port: Port = 6379
    """Its TCP port."""
    cache_db: Annotated[int, Field(ge=0, le=1024)]
    """The database that may be flushed; no other is touched."""
    broker_db: Annotated[int, Field(ge=0, le=1024)] | None = None
    """The database of Celery's broker; it is only read, for tasks that are stuck."""
    password_file: str | None = None
    """Holds the password."""


class PostgresSection(Section):
    host: str
    """Host name or address."""
    port: Port = 5432
    """Its TCP port."""
    database: str
    """The database to connect to."""
    user: str
    """The role to connect as."""
    password_file: str | None = None
    """Holds the password."""
    mountpoint: str | None = None
    """The exporter's `mountpoint` of the disk that holds its data."""


class BackupSection(Section):
    folder: str
    """The folder of the backups."""
    pattern: Annotated[str, Field(pattern=r"^[^/]+$")]
    """The file names, as in `*.tar.gz`; the newest counts."""
    member: Annotated[str, Field(min_length=1)] = "*/dump.sql.gz"
    """The dump in a tar file."""
    status_file: str
    """Written after each successful trial restore; give the exporter the same as `verification`."""
    scratch: PostgresSection | None = None
    """Where trials are made; without it, a database beside the one under care."""


class SwitchSection(Section):
    file: str
    """The file of nginx's map that names the live colour."""
    nginx: Name
    """The topology key of the nginx that reads it."""
    live_url: Url
    """Answers with the colour that nginx has loaded."""
    colours: Annotated[dict[Name, Name], Field(min_length=2)]
    """Each colour with the topology key of its service."""
    ready_probes: dict[Name, Name]
    """Each colour with the probe that must be good before it gets the traffic."""
    along: dict[Name, list[Name]] = Field(default_factory=dict)
    """Topology keys that are started along with a colour, such as its workers."""

    @model_validator(mode="after")
    def each_colour_has_a_probe(self) -> "SwitchSection":
        if set(self.colours) != set(self.ready_probes):
            raise ValueError("colours and ready_probes must name the same colours")
        return self


class ComposeSection(Section):
    project: Name
    """The project's name."""
    files: Annotated[list[str], Field(min_length=1)]
    """The compose files, as the remediator sees them."""
    engine: Url
    """An engine that may create containers. Whoever can ask it is root on its host."""
    services: list[Name] = Field(default_factory=list)
    """Only these services; empty: all of the project."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Variables of the compose files. No secrets: they belong into files."""


class TargetSection(StackSection):
    tier: Literal["data", "app", "edge"]
    """What kind of thing it is; data is touched last."""
    container: Name | None = None
    """The container that actions act on."""
    probes: list[Name] = Field(default_factory=list)
    """The exporter's probes that say whether it is healthy."""
    depends_on: list[Name] = Field(default_factory=list)
    """While an alert of P0 or P1 fires or is pending on one of these, nothing is done here."""
    redis: RedisSection | None = None
    """For the flush actions."""
    address: PostgresSection | None = None
    """For the actions on a database."""
    backup: BackupSection | None = None
    """For the actions on its backup."""
    switch: SwitchSection | None = None
    """For the action that switches the live colour."""
    compose: ComposeSection | None = None
    """For the action that creates what is gone."""


class TargetRef(Section):
    """Written as a topology key alone, or as `{from_label: <label>}`."""

    key: Name | None = None
    """Always this key of the topology."""
    from_label: Name | None = None
    """The key that this label of the alert holds."""

    @model_validator(mode="after")
    def is_one_way(self) -> "TargetRef":
        if (self.key is None) == (self.from_label is None):
            raise ValueError("write a topology key, or {from_label: <label>}")
        return self


def _key_alone(value: object) -> object:
    return {"key": value} if isinstance(value, str) else value


class PromqlSection(Section):
    expr: Annotated[str, Field(min_length=1)]
    """An instant query; every series of its answer is held against the bounds."""
    above: float | None = None
    """Each value must be above this."""
    below: float | None = None
    """Each value must be below this."""
    no_data: Literal["inconclusive"] = "inconclusive"
    """What an empty answer means: never that it is mended."""

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
    """The compose service is in the state running."""
    probes: Annotated[list[Name] | None, BeforeValidator(_own_probes)] = None
    """These probes succeed; `target` stands for the target's own."""
    alert: Literal["cleared"] | None = None
    """The alert no longer fires."""
    promql: PromqlSection | None = None
    """A query's values are within bounds."""

    @model_validator(mode="after")
    def is_one_check(self) -> "CheckSection":
        if len(self.model_fields_set) != 1:
            raise ValueError("a check is exactly one of running, probes, alert, promql")
        return self


class VerifySection(Section):
    within: Positive
    """Not mended by then is a failed run, and the ladder goes on."""
    interval: Positive = 1.0
    """The time between two looks."""
    consecutive: Annotated[int, Field(ge=1, le=100)] = 3
    """So many good looks in a row count as mended."""
    settle: Seconds = 0.0
    """The time before the first look; as long as the alert's rule looks back."""
    hold: Seconds = 600.0
    """A fault that comes back within this time was not mended."""
    all: Annotated[list[CheckSection], Field(min_length=1)]
    """The checks; all must be good in one look."""


class RunLimitsSection(Section):
    cooldown: Seconds
    """No second run on the target within this time."""
    attempts: Annotated[int, Field(ge=1)]
    """So many runs on the target at most, in the time of `per`."""
    per: Positive
    """The time that `attempts` counts in."""


class StepSection(Section):
    id: Name
    """Its name in the journal."""
    action: Name
    """One of the remediator's actions."""
    with_: dict[str, object] = Field(default_factory=dict, alias="with")
    """The action's parameters."""
    timeout: Positive
    """A step that takes longer has failed."""
    repeat: Literal["never", "if_not_done"]
    """What a start does that finds it begun: never again, or if the action sees it was not done."""
    even_if_cleared: bool = False
    """It follows the steps before it also when they have made the alert clear."""


class RunbookSection(Section):
    id: Name
    """Its name in metrics, journal and ladders."""
    alerts: list[Name]
    """The alert names that call for it; each belongs to one entry at most."""
    target: Annotated[TargetRef, BeforeValidator(_key_alone)]
    """What it acts on."""
    risk: Literal["safe", "disruptive", "data"]
    """How bad a needless run would be."""
    firing_for: Seconds = 0.0
    """The alert must have fired for this long."""
    limits: RunLimitsSection
    """How often it may act."""
    steps: Annotated[list[StepSection], Field(min_length=1)]
    """What is done, in this order."""
    verify: VerifySection
    """How it is known that it helped."""
    ladder: list[Name] = Field(default_factory=list)
    """The entries to try next, in this order, when it did not help."""
    mode: Literal["observe", "approve", "auto"] | None = None
    """Only makes the global mode stricter; without it, an entry whose risk is data asks first."""
    window: Name | None = None
    """The entry is begun in this window only."""
    after_deploy: bool = False
    """It may run shortly after a deployment too, as a rollback must."""
    confirm: list[CheckSection] = Field(default_factory=list)
    """A second signal: these checks must fail before it is begun."""
    unless_firing: list[Name] = Field(default_factory=list)
    """While one of these alerts fires, it is not begun."""


class ConfigFile(Section):
    version: Literal[1]
    """The version of this format."""
    mode: Literal["observe", "approve", "auto"] = "observe"
    """observe judges and records; approve asks a human before each run; auto acts by itself."""
    listen: Listen = "0.0.0.0:9181"
    """Where it listens."""
    state_file: str | None = None
    """The journal, a SQLite file. It is this, or `journal`."""
    journal: JournalSection | None = None
    """The journal on a PostgreSQL of its own, for several remediators that share it."""
    webhook: WebhookSection
    """What Alertmanager sends to."""
    prometheus: PrometheusSection
    """What is asked before anything is touched."""
    alertmanager: UrlSection
    """Where a human is called."""
    exporter: UrlSection
    """Whose probes are asked after an action."""
    docker: UrlSection
    """The engine, best through a proxy that lets only the actions' requests pass."""
    external_url: Url = "http://localhost:9181"
    """Where a human who is called finds the incident."""
    reconcile_interval: Positive = 15.0
    """Prometheus is asked what fires at least this often."""
    dependency_settle: Seconds = 30.0
    """A dependency counts as broken until it has been quiet for this long."""
    oncall_file: str | None = None
    """The rota, oncall.yml; who is on call is then told as a metric."""
    retention: Annotated[Seconds, Field(ge=7 * 24 * 3600)] = 400 * 24 * 3600.0
    """How long closed incidents are remembered; what guards still count stays longer."""
    watchdog: WatchdogSection | None = None
    """Whether the chain of alerting is silent."""
    heartbeat: HeartbeatSection | None = None
    """An outside service that calls when the remediator is silent."""
    github: GithubSection | None = None
    """Where an issue is written about an incident that was not mended or came back."""
    console: ConsoleSection | None = None
    """The web page for the person on call; without it there is none."""
    active_users: ActiveUsersSection | None = None
    """What the morning check counts as users; without it, the keys of Redis' database 0."""
    limits: GlobalLimits = GlobalLimits()
    """Over everything: a storm ends at a human."""
    breaker: BreakerSection = BreakerSection()
    """When an entry is off for a target until a human resets it."""
    storm: StormSection = StormSection()
    """When so much is broken at once that nothing is begun."""
    approval: ApprovalSection = ApprovalSection()
    """How long a human is asked for."""
    after_deploy: Seconds = 900.0
    """For so long after a deployment only entries that say after_deploy are begun."""
    windows: dict[Name, WindowSection] = Field(default_factory=dict)
    """Hours of the week, by a name of your own."""
    quiet_windows: list[Name] = Field(default_factory=list)
    """In these windows only the entries that belong to them are begun."""
    groups: dict[Name, GroupSection] = Field(default_factory=dict)
    """Services of which some must always be left serving."""
    never_touch: list[Name] = Field(default_factory=list)
    """Containers that no target may name: what the remediator itself needs."""
    topology: Annotated[dict[Name, TargetSection], Field(min_length=1)]
    """What may be touched; the keys are the label `service`."""
    runbooks: Annotated[list[RunbookSection], Field(min_length=1)]
    """What is done about which alert."""
