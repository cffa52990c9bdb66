"""Whether a runbook entry may still be tried on a target: the circuit breaker.

Rule: pure; a fold over the runs of one entry on one target. Once open it stays open until
a human resets it; only what is safe may try again by itself, and a trial that works closes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from remediator.outcomes import MENDED, NOT_MENDED, State
from remediator.runs import PastRun


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """So many failures in a row, or so many runs within a time, however they ended.

    A success ends a row of failures only when nothing had to be run for `clean_seconds` after.
    """

    failures: int = 2
    runs: int = 3
    within_seconds: float = 6 * 3600.0
    runs_per_day: int = 6
    trial_after_seconds: float = 6 * 3600.0
    clean_seconds: float = 2 * 3600.0


@dataclass(frozen=True, slots=True)
class Opened:
    """`at` is when the run ended that opened it, or the last trial that did not close it."""

    at: datetime
    why: str


DAY_SECONDS = 86400.0


def opened(runs: Iterable[PastRun], limits: BreakerLimits) -> Opened | None:
    """`runs` are those of one entry on one target, in any order."""
    counted: list[PastRun] = []
    found: Opened | None = None
    touched = [run for run in runs if run.state is not State.CANCELLED and not run.forgiven]
    for run in sorted(touched, key=lambda run: (run.claimed_at, run.run_id)):
        if found is not None and run.state in MENDED:
            counted, found = [], None
            continue
        counted.append(run)
        why = found.why if found is not None else _why(counted, limits)
        if why is not None:
            found = Opened(run.ended_at or run.claimed_at, why)
    return found


def _why(counted: list[PastRun], limits: BreakerLimits) -> str | None:
    streak = _lasting(counted, limits.clean_seconds)[-limits.failures :]
    if len(streak) == limits.failures and all(run.state in NOT_MENDED for run in streak):
        return f"{limits.failures} runs in a row did not mend it"
    last = counted[-1].claimed_at
    for most, seconds in (
        (limits.runs, limits.within_seconds),
        (limits.runs_per_day, DAY_SECONDS),
    ):
        recent = [run for run in counted if (last - run.claimed_at).total_seconds() < seconds]
        if len(recent) >= most:
            return f"{len(recent)} runs within {seconds / 3600:g} h: it comes back"
    return None


def _lasting(counted: list[PastRun], clean_seconds: float) -> list[PastRun]:
    """The runs that say something: not those a human ended, nor successes that did not last."""
    ended = [run for run in counted if run.state is not State.ABORTED]
    return [
        run
        for run, following in zip_longest(ended, ended[1:])
        if run.state not in MENDED
        or following is None
        or (following.claimed_at - (run.ended_at or run.claimed_at)).total_seconds()
        >= clean_seconds
    ]
