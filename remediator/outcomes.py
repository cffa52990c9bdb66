"""The closed list of states, outcomes and reasons.

Rule: these words are the public interface. Journal, logs, metric labels and docs
use them and no others; a refusal without one of them is a bug.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a run stands. A run is one attempt of one runbook entry on one target."""

    BLOCKED = "blocked"  # a guard said no for now; judged again until the alert clears
    AWAITING_APPROVAL = "awaiting_approval"  # only a human's word is missing
    CLAIMED = "claimed"  # allowed, budget counted, nothing touched yet
    EXECUTING = "executing"
    VERIFYING = "verifying"
    EFFECTIVE = "effective"  # verified: the fault is gone; watched from here on
    HELD = "held"  # it stayed away for as long as it was watched
    RECURRED = "recurred"  # it came back while it was watched: a success that was none
    INEFFECTIVE = "ineffective"  # acted, and the fault is still there
    INCONCLUSIVE = "inconclusive"  # acted, and nobody can tell: never counted as success
    FAILED = "failed"  # the action itself failed
    INTERRUPTED = "interrupted"  # the process died between intent and outcome
    CANCELLED = "cancelled"  # the fault was gone before anything was touched
    ABORTED = "aborted"  # a human stopped it or did not allow it, or a guard after a crash
    SKIPPED = "skipped"  # observe mode: judged and recorded, never acted on


MENDED = frozenset({State.EFFECTIVE, State.HELD})

NOT_MENDED = frozenset({State.INEFFECTIVE, State.INCONCLUSIVE, State.FAILED, State.RECURRED})
"""Ends after which the ladder is climbed or a human is called."""


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
    PROMETHEUS_UNREACHABLE = "prometheus_unreachable"
    DATA_STALE = "data_stale"
    EXPORTER_BLIND = "exporter_blind"
    NOT_FIRING = "not_firing"
    TOO_YOUNG = "too_young"
    TOO_OLD = "too_old"
    ALERTMANAGER_UNREACHABLE = "alertmanager_unreachable"
    NOT_NOTIFIED = "not_notified"
    SILENCED = "silenced"
    INHIBITED = "inhibited"
    MAINTENANCE = "maintenance"
    OUTSIDE_WINDOW = "outside_window"
    DEPLOYING = "deploying"
    RECENT_DEPLOY = "recent_deploy"
    DEPENDENCY_FIRING = "dependency_firing"
    OTHER_ALERT_FIRING = "other_alert_firing"
    NOT_CONFIRMED = "not_confirmed"
    STORM = "storm"
    CAPACITY = "capacity"
    TARGET_BUSY = "target_busy"
    TOO_MANY_RUNS = "too_many_runs"
    COOLDOWN = "cooldown"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    BUDGET_EXHAUSTED = "budget_exhausted"
    BREAKER_OPEN = "breaker_open"
    NEEDS_APPROVAL = "needs_approval"
    TARGET_DENIED = "target_denied"
    # a human
    DENIED = "denied"
    APPROVAL_EXPIRED = "approval_expired"  # nobody answered in time
    SUPERSEDED = "superseded"  # a human has ordered another run instead
    # actions
    PRECHECK_REFUSED = "precheck_refused"
    ACTION_FAILED = "action_failed"
    ACTION_TIMEOUT = "action_timeout"
    OUTCOME_UNKNOWN = "outcome_unknown"
    # verification
    VERIFIED = "verified"
    NOT_VERIFIED = "not_verified"
    NO_DATA = "no_data"
    CAME_BACK = "came_back"


BLOCKING = (
    Reason.PAUSED,
    Reason.MODE_OBSERVE,
    Reason.PROMETHEUS_UNREACHABLE,
    Reason.DATA_STALE,
    Reason.EXPORTER_BLIND,
    Reason.NOT_FIRING,
    Reason.TOO_YOUNG,
    Reason.TOO_OLD,
    Reason.ALERTMANAGER_UNREACHABLE,
    Reason.NOT_NOTIFIED,
    Reason.SILENCED,
    Reason.INHIBITED,
    Reason.MAINTENANCE,
    Reason.OUTSIDE_WINDOW,
    Reason.DEPLOYING,
    Reason.RECENT_DEPLOY,
    Reason.DEPENDENCY_FIRING,
    Reason.OTHER_ALERT_FIRING,
    Reason.NOT_CONFIRMED,
    Reason.STORM,
    Reason.CAPACITY,
    Reason.TARGET_BUSY,
    Reason.TOO_MANY_RUNS,
    Reason.COOLDOWN,
    Reason.ATTEMPTS_EXHAUSTED,
    Reason.BUDGET_EXHAUSTED,
    Reason.BREAKER_OPEN,
    Reason.NEEDS_APPROVAL,
    Reason.TARGET_DENIED,
)
"""The reasons of guards: why a run waits."""
