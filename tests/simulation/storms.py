"""Storms, as the auditor knows them: what each lane saw, and what must be remembered of it.

Rule: as in auditor.py, nothing is shared with the guards.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import timedelta

from remediator.policy import Policy
from remediator.ports import AlertState
from tests.fakes import START
from tests.simulation.site import NEEDS

NEW_SECONDS, CALM_SECONDS = 120.0, 300.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one lane was told, and when."""

    at: float
    state: AlertState | None
    works: tuple[str, ...]  # where runs were under way then


@dataclass
class Storms:
    policy: Policy
    _seen: list[Seen] = field(default_factory=list)

    def remember(self, seen: Seen) -> None:
        if self.is_one(seen):
            self._seen.append(seen)

    def is_one(self, seen: Seen, *, beside: str | None = None) -> bool:
        """`beside`: the target of a judged run. That a human has ordered it breaks nothing."""
        if seen.state is None:
            return False
        works = set(seen.works) - {beside}
        new = {
            a.labels["service"]
            for a in seen.state.firing
            if START + timedelta(seconds=seen.at) - a.active_at <= timedelta(seconds=NEW_SECONDS)
        }
        broken = {a.labels["service"] for a in seen.state.firing} | works
        causes = {s for s in broken if not broken & set(NEEDS.get(s, ()))}
        return len(new | works) > self.policy.storm.targets or len(causes) >= 4

    def is_just_over(
        self, at: float, *, beside: str, slack: float, deaths: Container[float]
    ) -> bool:
        """What it saw in the very moment of one of its `deaths` it could not write."""
        recent = [storm for storm in self._seen if at - storm.at < CALM_SECONDS - slack]
        return any(storm.at not in deaths and self.is_one(storm, beside=beside) for storm in recent)
