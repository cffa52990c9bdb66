"""What the runbook allows: the frozen values that remediator.yml becomes.

Rule: pure values, already checked. Whatever reads a Policy may trust that every name in it
leads somewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from remediator.breaker import BreakerLimits
from remediator.checks import CheckSpec, Verification
from remediator.topology import Target
from remediator.windows import Window


class Mode(StrEnum):
    """From the strictest on."""

    OBSERVE = "observe"  # judge and record, touch nothing
    APPROVE = "approve"  # ask a human before each run
    AUTO = "auto"


STRICTEST_FIRST = tuple(Mode)


class Risk(StrEnum):
    SAFE = "safe"
    DISRUPTIVE = "disruptive"
    DATA = "data"  # cannot be undone


class Repeat(StrEnum):
    NEVER = "never"  # at most once in an incident, whatever crashes
    IF_NOT_DONE = "if_not_done"  # once more when a probe says that the crash came first


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a runbook entry. `params` are valid for the action's own model.

    `even_if_cleared`: it follows the steps before it also when they have cleared the alert.
    """

    id: str
    action: str
    params: Mapping[str, object]
    timeout_seconds: float
    repeat: Repeat
    even_if_cleared: bool = False


@dataclass(frozen=True, slots=True)
class RunLimits:
    """For one runbook on one target: so many attempts in any window, so long between two."""

    cooldown_seconds: float
    attempts: int
    per_seconds: float


@dataclass(frozen=True, slots=True)
class Runbook:
    """One entry of the runbook. Exactly one of `target_key` and `target_label` is set.

    `mode` can only be stricter than the policy's; `window` is the only one it is begun in;
    `after_deploy`: also shortly after a deployment, as a rollback; `confirm` are checks that
    must fail before it is begun; `unless_firing` are alerts while which it is not.
    """

    id: str
    alerts: tuple[str, ...]
    target_key: str | None
    target_label: str | None
    risk: Risk
    firing_for_seconds: float
    limits: RunLimits
    steps: tuple[Step, ...]
    verify: Verification
    ladder: tuple[str, ...]
    mode: Mode = Mode.AUTO
    window: str | None = None
    after_deploy: bool = False
    confirm: tuple[CheckSpec, ...] = ()
    unless_firing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """Services that stand in for one another; `min_healthy` of them must be left serving."""

    members: tuple[str, ...]
    min_healthy: int


@dataclass(frozen=True, slots=True)
class StormLimits:
    """More than `targets` that began within a time, or more than `share` of the services."""

    targets: int = 5
    within_seconds: float = 120.0
    share: float = 0.3
    at_least: int = 3
    calm_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides. `runbook_of_alert` maps an alert name to its one runbook id.

    `concurrency` counts runs that are not safe; `quiet_windows` name those in which nothing is
    begun; `never_touch` are containers.
    """

    mode: Mode
    max_data_age_seconds: float
    runs_per_hour: int
    runs_per_day: int
    topology: Mapping[str, Target]
    runbooks: Mapping[str, Runbook]
    runbook_of_alert: Mapping[str, str]
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    storm: StormLimits = field(default_factory=StormLimits)
    concurrency: int = 1
    max_age_seconds: float = 86400.0
    after_deploy_seconds: float = 900.0
    approval_seconds: float = 900.0
    windows: Mapping[str, Window] = field(default_factory=dict)
    quiet_windows: tuple[str, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    never_touch: frozenset[str] = frozenset()

    def mode_of(self, runbook: Runbook) -> Mode:
        """The stricter of the policy's and the entry's own."""
        return min(self.mode, runbook.mode, key=STRICTEST_FIRST.index)

    def rungs(self, runbook_id: str) -> tuple[str, ...]:
        """The runbook and then its ladder, each rung followed by its own ladder, none twice."""
        found: list[str] = []

        def climb(rung: str) -> None:
            if rung not in found:
                found.append(rung)
                for higher in self.runbooks[rung].ladder:
                    climb(higher)

        climb(runbook_id)
        return tuple(found)

    @property
    def memory_seconds(self) -> float:
        """How far back a guard ever looks."""
        windows = [86400.0]
        for runbook in self.runbooks.values():
            windows += [runbook.limits.per_seconds, runbook.limits.cooldown_seconds]
        return max(windows)
