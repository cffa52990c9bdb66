"""The Protocols that the pipeline needs, and the values they exchange.

Rule: no client library, no I/O and no clock in this file. An edge turns its client's
errors into `Transient` or `Permanent`; nothing else crosses a port.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from remediator.checks import CheckSpec
from remediator.outcomes import Reason
from remediator.topology import Target


class RemediationError(Exception):
    """Something an edge could not do. The message says what, on which target, what to do.

    `evidence` goes to the journal, as that of a Done.
    """

    def __init__(self, message: str, evidence: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.evidence: Mapping[str, object] = evidence or {}


class Transient(RemediationError):
    """It may work when tried again: a refused connection, a timeout, a 5xx."""


class Permanent(RemediationError):
    """It will not work when tried again: a missing container, a refused command."""


class Effect(StrEnum):
    """What an action's probe finds after a crash between intent and outcome."""

    DONE = "done"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ready:
    """The pre-check found nothing against acting."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The pre-check says no. `detail` is one sentence for a human."""

    detail: str
    reason: Reason = Reason.PRECHECK_REFUSED


@dataclass(frozen=True, slots=True)
class NotYet:
    """The pre-check says no for now: it is asked again while the step has time."""

    detail: str


@dataclass(frozen=True, slots=True)
class Done:
    """The action did what it says. `evidence` goes to the journal: small, JSON-able, no secrets."""

    summary: str
    evidence: Mapping[str, object] = field(default_factory=dict)


class Action(Protocol):
    """One change to one system. Idempotent where the system allows it.

    An instance is made per step with its checked parameters and its clients; `target` is
    always a key of the topology. `timeout_seconds` is a hard bound on the whole call.
    """

    def precheck(self, target: Target) -> Ready | Refused | NotYet:
        """Look, do not touch. Errors: Transient, Permanent."""
        ...

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        """Make the change and say what was done. Errors: Transient, Permanent."""
        ...

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        """After a crash: was the change that was intended at `intended_at` made?"""
        ...


class Check(StrEnum):
    """What one look at one check of a verification says."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"  # nobody can tell: no data, stale data, source unreachable


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result with the sentence that a human reads."""

    check: str
    verdict: Check
    detail: str


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert as Prometheus knows it now. `labels` holds alertname too; times are aware UTC."""

    labels: Mapping[str, str]
    active_at: datetime


@dataclass(frozen=True, slots=True)
class NotifiedAlert:
    """An alert as Alertmanager holds it. `muted` is SILENCED, INHIBITED or None."""

    labels: Mapping[str, str]
    muted: Reason | None


@dataclass(frozen=True, slots=True)
class AlertState:
    """What Prometheus says at one moment: its alerts, and how old its newest data is.

    `pending`: their fault is seen, but not for long enough to fire. `lately` are the services
    with an alert that fires or did so a moment ago: their clients may not have found back to
    them yet. `notified` is what Alertmanager holds; None when it cannot be asked. `running`
    holds services, `probes` probe targets: whether each is well; who is in neither is unknown.
    `steady`: the data had no gap lately; after one an alert is gone for a while although its
    fault is not. `sees`: whether the exporter reaches anything over the network; None when it
    looks at too little to tell.
    """

    firing: tuple[FiringAlert, ...]
    data_age_seconds: float | None  # None: the exporter's `up` has no sample
    lately: frozenset[str] = frozenset()
    notified: tuple[NotifiedAlert, ...] | None = None
    running: Mapping[str, bool] = field(default_factory=dict)
    probes: Mapping[str, bool] = field(default_factory=dict)
    steady: bool = True
    pending: tuple[FiringAlert, ...] = ()
    sees: bool | None = None


class Alerts(Protocol):
    """Prometheus, asked which alerts fire now."""

    def now(self) -> AlertState:
        """Errors: Transient when Prometheus cannot be asked."""
        ...


class Verifier(Protocol):
    """Asks the checks of a verification. How often and how long is the pipeline's loop."""

    def look(
        self, checks: tuple[CheckSpec, ...], target: Target, alert_labels: Mapping[str, str]
    ) -> tuple[Finding, ...]:
        """Ask each check once, in order. Never raises: what cannot be asked is INCONCLUSIVE."""
        ...


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert of ours. The labels are its identity: they stay while the annotations change."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    url: str


class Pager(Protocol):
    """Tells humans through Alertmanager. Called again and again while there is something."""

    def fire(self, notice: Notice) -> None:
        """Fire, or keep firing. Errors: Transient, Permanent."""
        ...

    def end(self, notice: Notice) -> None:
        """End the alert that was fired with the same labels. Errors: Transient, Permanent."""
        ...


class Stopped(Exception):
    """The process is told to stop. What is under way stays in the journal for the next start."""
