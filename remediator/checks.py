"""What a verification asks: the checks that a runbook entry lists under `verify.all`.

Rule: pure values. Asking them is `remediator/verify.py`; how often and how long is the
pipeline's loop.
"""

from dataclasses import dataclass
from typing import assert_never


@dataclass(frozen=True, slots=True)
class RunningCheck:
    """The target runs: `compose_service_state{service=<target>, state="running"} == 1`."""


@dataclass(frozen=True, slots=True)
class ProbesCheck:
    """Fresh probes of the exporter succeed. `names` None: the probes of the target itself."""

    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class AlertCleared:
    """The alert that started the run fires no more, and the data that says so is fresh."""


@dataclass(frozen=True, slots=True)
class PromqlCheck:
    """Every sample of `expr` is above and/or below the bounds. No sample: inconclusive."""

    expr: str
    above: float | None = None
    below: float | None = None


CheckSpec = RunningCheck | ProbesCheck | AlertCleared | PromqlCheck


@dataclass(frozen=True, slots=True)
class Verification:
    """All `checks` must pass in `consecutive` looks in a row before `within` is over.

    The first look is after `settle`; a fault that comes back within `hold` was not mended.
    """

    checks: tuple[CheckSpec, ...]
    within_seconds: float
    interval_seconds: float
    consecutive: int
    settle_seconds: float = 0.0
    hold_seconds: float = 0.0


def name_of(check: CheckSpec) -> str:
    """As findings and people call it."""
    match check:
        case RunningCheck():
            return "running"
        case ProbesCheck():
            return "probes"
        case AlertCleared():
            return "alert"
        case PromqlCheck():
            return "promql"
        case _:
            assert_never(check)
