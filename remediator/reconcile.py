"""Makes the journal agree with Prometheus: what a webhook missed, and what has cleared.

Rule: a webhook is a hint. Alertmanager stays silent when an alert fires again within a
group interval, so Prometheus is read again after each wake and in every interval. An
alert counts as cleared only on fresh data that had no gap. A storm is remembered as soon as
it is seen, also when no run waits that would be judged in it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from remediator import storm
from remediator.alerts import Alert, AlertStatus
from remediator.journal import Intake, RunLog
from remediator.metrics import Metrics
from remediator.planner import triage
from remediator.policy import Policy
from remediator.ports import Alerts, AlertState, Transient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciler:
    policy: Policy
    alerts: Alerts
    intake: Intake
    runs: RunLog
    metrics: Metrics
    clock: Callable[[], datetime]

    def once(self) -> None:
        """Errors: JournalUnavailable. A Prometheus that cannot be asked changes nothing."""
        asked_at = self.clock()
        try:
            state = self.alerts.now()
        except Transient as error:
            log.warning("nothing reconciled: %s", error)
            self.metrics.not_reconciled(str(error), asked_at)
        else:
            if storm.seen(state, self.runs.at_work(asked_at), self.policy, asked_at) is not None:
                self.runs.saw_storm(asked_at)
            taken = self.intake.sync(
                triage(_told(state), self.policy)[0],
                asked_at=asked_at,
                believed=state.steady and self._is_fresh(state),
            )
            self.metrics.reconciled(taken.new, asked_at)
            self.metrics.incidents_opened(taken.opened)
        for runbook in self.runs.close_mended(self.clock()):
            self.metrics.incident_closed(runbook)

    def _is_fresh(self, state: AlertState) -> bool:
        age = state.data_age_seconds
        return age is not None and age <= self.policy.max_data_age_seconds


def _told(state: AlertState) -> list[Alert]:
    return [
        Alert(labels=alert.labels, status=AlertStatus.FIRING, starts_at=alert.active_at)
        for alert in state.firing
    ]
