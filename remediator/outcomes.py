"""The closed list of states, outcomes and reasons.

Rule: these words are the public interface. Journal, logs, metric labels and docs
use them and no others; a refusal without one of them is a bug.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a run stands. A run is one attempt of one runbook entry on one target."""

    BLOCKED = "blocked"  # a guard said no for now; judged again until the alert clears
    CLAIMED = "claimed"  # allowed, budget counted, nothing touched yet
    EXECUTING = "executing"
    VERIFYING = "verifying"
    EFFECTIVE = "effective"  # verified: the fault is gone
    INEFFECTIVE = "ineffective"  # acted, and the fault is still there
    INCONCLUSIVE = "inconclusive"  # acted, and nobody can tell: never counted as success
    FAILED = "failed"  # the action itself failed
    INTERRUPTED = "interrupted"  # the process died between intent and outcome
    CANCELLED = "cancelled"  # the fault was gone before anything was touched
    ABORTED = "aborted"  # a human stopped the remediator between two steps
    SKIPPED = "skipped"  # observe mode: judged and recorded, never acted on


TERMINAL = frozenset(
    {
        State.EFFECTIVE,
        State.INEFFECTIVE,
        State.INCONCLUSIVE,
        State.FAILED,
        State.CANCELLED,
        State.ABORTED,
        State.SKIPPED,
    }
)
"""States that a run never leaves."""

NOT_MENDED = frozenset({State.INEFFECTIVE, State.INCONCLUSIVE, State.FAILED})
"""Terminal states after which the ladder is climbed or a human is called."""


class Reason(StrEnum):
    """Why something was not done, or how it ended."""

    # no plan
    UNKNOWN_ALERT = "unknown_alert"
    UNKNOWN_TARGET = "unknown_target"
    RESOLVED = "resolved"
    OVERSIZED = "oversized"  # more or longer labels than any real alert has
    # guards
    PAUSED = "paused"
    MODE_OBSERVE = "mode_observe"
    NOT_FIRING = "not_firing"
    TOO_YOUNG = "too_young"
    PROMETHEUS_UNREACHABLE = "prometheus_unreachable"
    DATA_STALE = "data_stale"
    ALERTMANAGER_UNREACHABLE = "alertmanager_unreachable"
    NOT_NOTIFIED = "not_notified"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    DEPENDENCY_FIRING = "dependency_firing"
    STORM = "storm"
    TARGET_BUSY = "target_busy"
    COOLDOWN = "cooldown"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    BUDGET_EXHAUSTED = "budget_exhausted"
    BREAKER_OPEN = "breaker_open"
    # actions
    PRECHECK_REFUSED = "precheck_refused"
    ACTION_FAILED = "action_failed"
    ACTION_TIMEOUT = "action_timeout"
    OUTCOME_UNKNOWN = "outcome_unknown"
    # verification
    VERIFIED = "verified"
    NOT_VERIFIED = "not_verified"
    NO_DATA = "no_data"


BLOCKING = (
    Reason.PAUSED,
    Reason.MODE_OBSERVE,
    Reason.NOT_FIRING,
    Reason.TOO_YOUNG,
    Reason.PROMETHEUS_UNREACHABLE,
    Reason.DATA_STALE,
    Reason.ALERTMANAGER_UNREACHABLE,
    Reason.NOT_NOTIFIED,
    Reason.SILENCED,
    Reason.INHIBITED,
    Reason.DEPENDENCY_FIRING,
    Reason.STORM,
    Reason.TARGET_BUSY,
    Reason.COOLDOWN,
    Reason.ATTEMPTS_EXHAUSTED,
    Reason.BUDGET_EXHAUSTED,
    Reason.BREAKER_OPEN,
)
"""The reasons of guards: why a run waits."""
