"""The remediator's own metrics: every name, help and label set is here, once.

Rule: each combination of labels exists from the start, at 0; the label values are the
words of `remediator/outcomes.py`. The gauges of runs are read from the journal when asked:
a journal that cannot be read leaves them out, because nobody can tell then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from remediator import breaker, maintenance
from remediator.journal import JournalUnavailable, Opened, Presence, Records, Sharer
from remediator.oncall import Rota
from remediator.outcomes import BLOCKING, Reason, State
from remediator.planner import ACCEPTED
from remediator.policy import Mode, Policy
from remediator.runs import Change, PastRun
from remediator.topology import Target

WATCHDOG = "watchdog"
"""How the alert counts that only proves that alerts arrive."""
WEBHOOK_CODES = ("200", "400", "401", "405", "413", "500", "503")
RECEIVED = (
    ACCEPTED,
    Reason.RESOLVED.value,
    Reason.UNKNOWN_ALERT.value,
    Reason.UNKNOWN_TARGET.value,
    Reason.OVERSIZED.value,
    WATCHDOG,
)
HEARTBEATS = ("sent", "withheld", "failed")
BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)


@dataclass(frozen=True, slots=True)
class Sight:
    """When Prometheus was last asked, when last read, and why not if it was not."""

    asked_at: datetime | None = None
    read_at: datetime | None = None
    trouble: str | None = None


class Metrics:
    """`sight` is what the reconcile loop last saw, for those who ask how the chain is."""

    def __init__(self, policy: Policy, version: str) -> None:
        self.sight = Sight()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._counter(
            "remediator_webhook_requests", "Webhook requests by the status answered.", ["code"]
        )
        self._received = self._counter(
            "remediator_alerts_received", "Alerts in webhooks, by what they counted as.", ["result"]
        )
        self._unknown = self._counter(
            "remediator_unknown_alerts", "Alerts in webhooks that no runbook lists.", []
        )
        self._runs = self._counter(
            "remediator_runs", "Times that a run entered a state.", ["runbook", "state"]
        )
        self._blocked = self._counter(
            "remediator_blocked", "Times that a run was blocked for a new reason.", ["reason"]
        )
        self._found = self._counter(
            "remediator_reconcile_found", "Firing alerts that no webhook had told.", []
        )
        self._reconciled_at = Gauge(
            "remediator_reconcile_last_success_timestamp_seconds",
            "When Prometheus was last read with success.",
            registry=self.registry,
        )
        self._incidents()
        self._initialise(policy, version)

    def _incidents(self) -> None:
        self._opened = self._counter("remediator_incidents_opened", "Incidents.", ["runbook"])
        self._closed = self._counter(
            "remediator_incidents_closed", "Incidents whose alerts are all gone.", ["runbook"]
        )
        self._escalations = self._counter(
            "remediator_escalations", "Incidents that a human was called for.", ["reason"]
        )
        self._truncated = self._counter(
            "remediator_deliveries_truncated",
            "Webhooks that Alertmanager had cut; Prometheus was asked instead.",
            [],
        )
        self._heartbeats = self._counter(
            "remediator_heartbeats",
            "Pings of the outside service: sent, withheld because something was broken, or failed.",
            ["result"],
        )
        self._to_detect = self._histogram(
            "remediator_time_to_detect_seconds",
            "From the start of an incident's first alert until it was told.",
        )
        self._to_act = self._histogram(
            "remediator_time_to_act_seconds",
            "From when the alert was told to the first step of its incident.",
        )
        self._to_mend = self._histogram(
            "remediator_time_to_mend_seconds",
            "From the start of the alert to the verified end of the fault.",
        )

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, ["runbook"], buckets=BUCKETS, registry=self.registry)

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _initialise(self, policy: Policy, version: str) -> None:
        for counter, words in (
            (self._requests, WEBHOOK_CODES),
            (self._received, RECEIVED),
            (self._blocked, BLOCKING),
            (self._heartbeats, HEARTBEATS),
            (self._escalations, Reason),
            *((kind, policy.runbooks) for kind in (self._opened, self._closed)),
        ):
            for word in words:
                counter.labels(word)
        for runbook in policy.runbooks:
            for time in (self._to_detect, self._to_act, self._to_mend):
                time.labels(runbook)
            for state in State:
                self._runs.labels(runbook, state.value)
        mode = Gauge(
            "remediator_mode", "1 for the mode in force.", ["mode"], registry=self.registry
        )
        for known in Mode:
            mode.labels(known.value).set(known is policy.mode)
        Gauge(
            "stackmedic_build_info", "1, labelled with the version.", ["version"],
            registry=self.registry,
        ).labels(version).set(1)  # fmt: skip

    def webhook_answered(self, code: int) -> None:
        self._requests.labels(str(code)).inc()

    def alerts_received(self, counts: Mapping[str, int]) -> None:
        for result, count in counts.items():
            self._received.labels(result).inc(count)
        self._unknown.inc(counts.get(Reason.UNKNOWN_ALERT.value, 0))

    def incidents_opened(self, opened: Iterable[Opened]) -> None:
        for incident in opened:
            self._opened.labels(incident.runbook).inc()
            self._to_detect.labels(incident.runbook).observe(incident.seconds_to_detect)

    def incident_ordered(self, runbook: str) -> None:
        """Opened by a human's order: there was nothing to detect."""
        self._opened.labels(runbook).inc()

    def incident_closed(self, runbook: str) -> None:
        self._closed.labels(runbook).inc()

    def watch(self, seen_at: Callable[[], datetime | None]) -> None:
        """Tell when the watchdog was last seen; without one there is no such series."""

        def timestamp() -> float:
            at = seen_at()
            return at.timestamp() if at else 0.0

        Gauge(
            "remediator_watchdog_last_seen_timestamp_seconds",
            "When the alert that always fires last came through the webhook; 0 before it did.",
            registry=self.registry,
        ).set_function(timestamp)

    def heartbeat(self, result: str) -> None:
        self._heartbeats.labels(result).inc()

    def delivery_truncated(self) -> None:
        self._truncated.inc()

    def escalated(self, reason: Reason) -> None:
        self._escalations.labels(reason.value).inc()

    def reconciled(self, found: int, at: datetime) -> None:
        self._found.inc(found)
        self._reconciled_at.set(at.timestamp())
        self.sight = Sight(at, at, None)

    def not_reconciled(self, why: str, at: datetime) -> None:
        self.sight = Sight(at, self.sight.read_at, why)

    def run_changed(self, change: Change) -> None:
        self._runs.labels(change.runbook, change.state.value).inc()
        if change.state is State.BLOCKED and change.reason is not None:
            self._blocked.labels(change.reason.value).inc()
        if change.seconds_to_act is not None:
            self._to_act.labels(change.runbook).observe(change.seconds_to_act)
        if change.seconds_to_mend is not None:
            self._to_mend.labels(change.runbook).observe(change.seconds_to_mend)


class RunGauges(Collector):
    """Read from the journal at each scrape, one series for each key of the topology."""

    def __init__(self, records: Records, targets: Iterable[str]) -> None:
        self._records = records
        self._targets = tuple(targets)

    @override
    def collect(self) -> Iterable[Metric]:
        yield self._family(
            "remediator_run_in_progress",
            "1 while a run holds the service.",
            self._records.runs_in_progress,
        )
        yield self._family(
            "remediator_runs_not_mended",
            "Open incidents of the service that a human was called for.",
            self._records.runs_not_mended,
        )

        try:
            paused = self._records.paused()
        except JournalUnavailable:
            return
        text = "1 while a human has paused the remediator: it begins nothing."
        yield GaugeMetricFamily("remediator_paused", text, value=1 if paused else 0)
        yield self._family(
            "remediator_approvals_waiting",
            "Runs on the service that wait for a human's approval.",
            self._records.approvals_waiting,
        )
        yield self._family(
            "remediator_incident_acknowledged",
            "1 while an open incident of the service is acknowledged by a human.",
            self._records.acknowledged,
        )

    def _family(self, name: str, text: str, read: Callable[[], Mapping[str, int]]) -> Metric:
        family = GaugeMetricFamily(name, text, labels=["service"])
        try:
            counted = read()
        except JournalUnavailable:
            return family
        for target in self._targets:
            family.add_metric([target], counted.get(target, 0))
        return family


class SharingGauges(Collector):
    """Who works on the journal, read from it at each scrape.

    `sharers`: None for a journal of its own, on which this one works alone.
    """

    def __init__(
        self,
        sharers: Callable[[], Sequence[Sharer]] | None,
        open_incidents: Callable[[], int],
        clock: Callable[[], datetime],
    ) -> None:
        self._sharers, self._open_incidents, self._clock = sharers, open_incidents, clock

    @override
    def collect(self) -> Iterable[Metric]:
        states = GaugeMetricFamily(
            "remediator_sharing",
            "Remediators that work on the journal; a silent one has said nothing for half a lease.",
            labels=["state"],
        )
        silence = GaugeMetricFamily(
            "remediator_sharing_longest_silence_seconds", "How old the oldest of their words is."
        )
        leads = GaugeMetricFamily(
            "remediator_leads", "1 for the one that does what one is enough for: pruning, issues."
        )
        held = GaugeMetricFamily(
            "remediator_incidents_held", "Open incidents that this remediator works on."
        )
        families = (states, silence, leads, held)
        now = self._clock()
        try:
            sharers = self._sharers() if self._sharers is not None else (self._alone(now),)
        except JournalUnavailable:
            return families
        at_work = [one for one in sharers if one.is_at_work]
        for state in (Presence.WORKS, Presence.SILENT):
            states.add_metric([state], sum(1 for one in at_work if one.presence is state))
        oldest = min((one.heard_at for one in at_work), default=now)
        silence.add_metric([], max((now - oldest).total_seconds(), 0.0))
        own = [one for one in at_work if one.is_this]
        leads.add_metric([], sum(1 for one in own if one.leads))
        held.add_metric([], sum(one.incidents for one in own))
        return families

    def _alone(self, now: datetime) -> Sharer:
        """Errors: JournalUnavailable."""
        works_on = self._open_incidents()
        return Sharer("", Presence.WORKS, True, True, works_on, now, now)  # noqa: FBT003


class MaintenanceGauges(Collector):
    """Read from the files at each scrape; one that nobody can read has no series."""

    def __init__(self, topology: Mapping[str, Target]) -> None:
        self._files = {
            key: Path(target.maintenance.file)
            for key, target in topology.items()
            if target.maintenance is not None
        }

    @override
    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "remediator_maintenance_until_timestamp_seconds",
            "When the maintenance page of the service ends, 0 while it is off.",
            labels=["service"],
        )
        for key, file in self._files.items():
            try:
                found = maintenance.read(file)
            except (maintenance.NotOurs, OSError):
                continue
            family.add_metric([key], found.until.timestamp() if found else 0)
        yield family


class OncallGauges(Collector):
    """Read from the rota at each scrape; one that cannot be used has no series."""

    def __init__(self, rota: Callable[[], Rota | None], clock: Callable[[], datetime]) -> None:
        self._rota, self._clock = rota, clock

    @override
    def collect(self) -> Iterable[Metric]:
        current = GaugeMetricFamily(
            "oncall_current",
            "1 for the team that is on call now, 0 for the others.",
            labels=["team"],
        )
        ends = GaugeMetricFamily(
            "oncall_ends_timestamp_seconds", "When the rota ends: nobody is on call after it."
        )
        rota = self._rota()
        if rota is not None:
            turn = rota.turn(self._clock())
            for team in rota.teams:
                current.add_metric([team], 1 if turn and turn.team == team else 0)
            ends.add_metric([], rota.ends.timestamp())
        yield current
        yield ends


class BreakerGauges(Collector):
    """Counted afresh at each scrape, for each entry on each target that it may work on."""

    def __init__(self, policy: Policy, past: Callable[[], tuple[PastRun, ...]]) -> None:
        self._policy = policy
        self._past = past
        touchable = [key for key, target in policy.topology.items() if target.container]
        self._pairs = [
            (runbook.id, key)
            for runbook in policy.runbooks.values()
            for key in ([runbook.target_key] if runbook.target_key else touchable)
        ]

    @override
    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "remediator_breaker_open",
            "1 while the runbook entry is off for the service until a human resets it.",
            labels=["runbook", "service"],
        )
        try:
            past = self._past()
        except JournalUnavailable:
            yield family
            return
        for pair in self._pairs:
            own = [run for run in past if (run.runbook, run.target) == pair]
            is_open = breaker.opened(own, self._policy.breaker) is not None
            family.add_metric(pair, 1 if is_open else 0)
        yield family
