"""Whether a human is called in time when nothing else helps."""

from collections.abc import Callable
from dataclasses import dataclass, field

from remediator.outcomes import Reason
from remediator.policy import Mode, Policy
from tests.simulation.humans import Humans
from tests.simulation.process import Process
from tests.simulation.prometheus import Prometheus
from tests.simulation.site import NEEDS, Symptom
from tests.simulation.world import World

DAY = 86400.0
TOLD_WITHIN = 5400.0
LOOKS_EVERY = 300.0


@dataclass
class Vigil:
    """`paged` are the incidents that a human was called for, with entry and target."""

    world: World
    policy: Policy
    prometheus: Prometheus
    humans: Humans
    process: Process
    muted: Callable[[Symptom], Reason | None]
    paged: dict[int, tuple[str, str]] = field(default_factory=dict)
    _untold: dict[Symptom, float] = field(default_factory=dict)

    def watch(self) -> None:
        """A fault that nothing mends and nobody keeps quiet reaches a human within a bound."""
        self.world.after(LOOKS_EVERY, self.watch)
        if self._is_disturbed():
            self._untold.clear()
            return
        firing = {s for s in self.prometheus.alerts if self.prometheus.fires(s)}
        excused = {s for s in firing if self._is_excused(s, firing)}
        for symptom in list(self._untold):
            if symptom not in firing - excused:
                del self._untold[symptom]
        for symptom in firing - excused:
            since = self._untold.setdefault(symptom, self.world.seconds)
            if self.world.seconds - since > TOLD_WITHIN and not self._is_told(symptom):
                self.world.broken(f"{symptom} fires for {TOLD_WITHIN:.0f} s and no human is called")

    def disturb(self) -> None:
        """Something gets in the way: the bound begins again."""
        self._untold.clear()

    def _is_disturbed(self) -> bool:
        return (
            not self.process.is_up
            or self.process.fate.is_disk_full
            or not self.prometheus.is_up
            or not self.prometheus.exporter_up
            or self.prometheus.stuck_since is not None
            or self.humans.is_paused()
            or self.humans.are_unsure()
            or self.humans.deploys()
            or (self.humans.since_deploy() or DAY) < self.policy.after_deploy_seconds
            or self.policy.mode is Mode.OBSERVE
        )

    def _is_excused(self, symptom: Symptom, firing: set[Symptom]) -> bool:
        name, service = symptom
        book = self.policy.runbooks[self.policy.runbook_of_alert[name]]
        now = self.world.clock()
        in_quiet = any(self.policy.windows[w].holds(now) for w in self.policy.quiet_windows)
        return bool(
            self.muted(symptom) is not None
            or self.humans.works_on(service, self.world.seconds)
            or in_quiet
            or (book.window and not self.policy.windows[book.window].holds(now))
            or any(s in NEEDS.get(service, ()) for _, s in firing)
            or any(n in book.unless_firing for n, _ in firing)
            or book.mode is Mode.OBSERVE
            or self._was_denied(book.id, service)
        )

    def _is_told(self, symptom: Symptom) -> bool:
        rows = self.process.peek(
            "SELECT id FROM incidents WHERE runbook = ? AND target = ? AND closed_at IS NULL",
            self.policy.runbook_of_alert[symptom[0]],
            symptom[1],
        )
        return any(row[0] in self.paged for row in rows)

    def _was_denied(self, runbook: str, target: str) -> bool:
        return bool(
            self.process.peek(
                "SELECT 1 FROM runs r JOIN incidents i ON i.id = r.incident_id WHERE"
                " i.runbook = ? AND i.target = ? AND i.closed_at IS NULL AND r.reason = 'denied'",
                runbook,
                target,
            )
        )
