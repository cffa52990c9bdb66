"""Incidents and runs as the journal remembers them.

Rule: pure values, aware UTC times. An incident is a fault on one target that one runbook
entry (with its ladder) answers; a run is one attempt of one entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from remediator.outcomes import Reason, State
from remediator.ports import Finding

ACTIVE = frozenset({State.CLAIMED, State.EXECUTING, State.VERIFYING, State.INTERRUPTED})
"""States in which a run holds its target."""


@dataclass(frozen=True, slots=True)
class Allowed:
    detail: str


@dataclass(frozen=True, slots=True)
class Blocked:
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guard says of one run."""

    guard: str
    answer: Allowed | Blocked


@dataclass(frozen=True, slots=True)
class Question:
    """A human is asked whether this very plan may be carried out, until `expires_at`."""

    plan_hash: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """All guards' verdicts, and the state that they put the run in.

    `storms`: it does now, which the guards must remember. `asks`: what a human must be asked
    anew; None when nothing, or when it was asked already.
    """

    state: State
    verdicts: tuple[Verdict, ...]
    storms: bool = False
    asks: Question | None = None

    @property
    def blocks(self) -> tuple[Blocked, ...]:
        return tuple(v.answer for v in self.verdicts if isinstance(v.answer, Blocked))

    @property
    def why_not(self) -> str:
        """All that the guards say no for, each sentence once."""
        return "; ".join(dict.fromkeys(block.detail for block in self.blocks))


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that was allowed, as the guards count it.

    `forgiven`: a human has reset the breaker since it was allowed.
    """

    run_id: int
    runbook: str
    target: str
    state: State
    claimed_at: datetime
    ended_at: datetime | None
    forgiven: bool = False


class Decision(StrEnum):
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Approval:
    """A question to a human about one run, and the answer. `decision` None: not yet."""

    plan_hash: str
    expires_at: datetime
    decision: Decision | None = None
    by: str = ""
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunOrder:
    """A human wants this entry run on this target, as its plan with this hash was shown."""

    id: int
    runbook: str
    target: str
    plan_hash: str
    by: str
    at: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class DeployLock:
    """A deployment that is under way, or the last one that was."""

    by: str
    reason: str
    at: datetime
    until: datetime
    released_at: datetime | None = None

    @property
    def ends_at(self) -> datetime:
        """Whoever forgets to release it loses it at its time."""
        return min(self.until, self.released_at or self.until)


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Humans work on `target`, or on everything when it is None, until `until`."""

    id: int
    target: str | None
    by: str
    reason: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the journal holds for the guards, read in the transaction that claims."""

    past: tuple[PastRun, ...] = ()
    storm_at: datetime | None = None
    deploy: DeployLock | None = None
    maintenance: tuple[Maintenance, ...] = ()
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What the journal knows of one step: an intent, and perhaps how it ended."""

    step_row: int
    step_id: str
    intent_at: datetime
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt. `reason` is why it is where it is; `blocks` all that its guards say no for.

    `acted_at`: when its steps were done and its verification began; `hold_until`: until when
    its success is watched; `order`: the human's who wanted it.
    """

    id: int
    runbook: str
    target: str
    state: State
    reason: Reason | None = None
    blocks: frozenset[Reason] = frozenset()
    blocked_since: datetime | None = None
    steps: tuple[StepRecord, ...] = ()
    acted_at: datetime | None = None
    ended_at: datetime | None = None
    hold_until: datetime | None = None
    approval: Approval | None = None
    order: RunOrder | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """An open incident.

    `labels` and `started_at` are those of its oldest alert that fires, or of its newest
    alert when none fires any more, or of the order that opened it. `order` was not judged yet.
    """

    id: int
    runbook: str
    target: str
    labels: Mapping[str, str]
    started_at: datetime
    firing: bool
    escalated: bool
    last_run: Run | None
    order: RunOrder | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, with the sentence for a human."""

    state: State
    reason: Reason
    detail: str
    findings: tuple[Finding, ...] = ()
    hold_until: datetime | None = None


class Via(StrEnum):
    """Where a human ordered it."""

    CONSOLE = "console"
    API = "api"
    COMMAND = "command"


VIA_HEADER = "Stackmedic-Via"
"""In which a command says to the API that it is one."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A human's order to begin nothing. `until` None: until a human ends it."""

    source: str  # file, environment or api
    reason: str
    by: str
    at: datetime
    until: datetime | None = None
    remediator: str = ""  # of a file or an environment: whose it is


@dataclass(frozen=True, slots=True)
class Escalation:
    """Why a human is called."""

    runbook: str
    reason: Reason
    summary: str


@dataclass(frozen=True, slots=True)
class Call:
    """What humans are told of an incident, `is_open` until it closes.

    An escalation, or, when it has none, its progress. `sent_at`: when it last went out.
    """

    incident_id: int
    severity: str
    escalation: Escalation | None
    sent_at: datetime | None
    is_open: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A run entered a state.

    `seconds_to_mend`: only of an effective one, since its alert began; `seconds_to_act`: only
    with the first step of its incident, since its alert was told.
    """

    runbook: str
    target: str
    state: State
    reason: Reason | None
    seconds_to_mend: float | None = None
    seconds_to_act: float | None = None
