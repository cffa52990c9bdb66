"""What a replay has in place of Prometheus and the engine.

Rule: the history decides. A check is good when the alert that it verifies does not fire; a
service serves while no urgent alert names it. Nothing outside is touched or asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from typing_extensions import override

from remediator.alerts import explains, is_same_alert
from remediator.checks import CheckSpec
from remediator.planner import Plan, plan_for
from remediator.policy import Policy, Step
from remediator.ports import (
    Action,
    AlertState,
    Check,
    Done,
    Effect,
    Finding,
    FiringAlert,
    NotifiedAlert,
    Permanent,
    Ready,
    Verifier,
)
from remediator.replay.history import PlayedAlert, PlayedStep
from remediator.topology import Target

USUAL_SECONDS = 1.0
SEEN_AFTER_SECONDS = 15.0
"""An alert that an action ends is gone with one of the next scrapes."""


class Actions(StrEnum):
    """What actions do to the alerts of a replay."""

    RECORDED = "recorded"  # an alert ends when it did, and an action that failed fails
    WORK = "work"  # the last step of a run ends the alerts of its target
    FAIL = "fail"  # each step fails


@dataclass
class Monitoring(Verifier):
    """The Alerts and the Verifier port over what fires in the replay."""

    policy: Policy
    settle_seconds: float
    clock: Callable[[], datetime]
    firing: list[PlayedAlert] = field(default_factory=list)
    ended: dict[str, datetime] = field(default_factory=dict)

    def fires(self, alert: PlayedAlert) -> None:
        self.firing.append(alert)

    def ends(self, alert: PlayedAlert) -> bool:
        """False when it had ended."""
        if alert not in self.firing:
            return False
        self.firing.remove(alert)
        if explains(alert.labels):
            self.ended[alert.labels.get("service", "")] = self.clock()
        return True

    def of_target(self, key: str) -> list[PlayedAlert]:
        return [
            alert
            for alert in self.firing
            if isinstance(plan := plan_for(alert.labels, self.policy), Plan)
            and plan.target.key == key
        ]

    def now(self) -> AlertState:
        settled = self.clock() - timedelta(seconds=self.settle_seconds)
        broken = {
            alert.labels.get("service", "") for alert in self.firing if explains(alert.labels)
        }
        topology = self.policy.topology
        return AlertState(
            firing=tuple(FiringAlert(alert.labels, alert.active_at) for alert in self.firing),
            data_age_seconds=0.0,
            lately=frozenset(broken | {key for key, at in self.ended.items() if at > settled}),
            notified=tuple(NotifiedAlert(alert.labels, None) for alert in self.firing),
            running={key: key not in broken for key in topology},
            probes={
                name: key not in broken
                for key, target in topology.items()
                for name in target.probes
            },
        )

    @override
    def look(
        self, checks: tuple[CheckSpec, ...], target: Target, alert_labels: Mapping[str, str]
    ) -> tuple[Finding, ...]:
        fires = any(is_same_alert(alert.labels, alert_labels) for alert in self.firing)
        name = alert_labels.get("alertname", "the alert")
        verdict, detail = (
            (Check.FAIL, f"{name} fires") if fires else (Check.PASS, f"{name} fires no more")
        )
        return tuple(Finding(type(check).__name__, verdict, detail) for check in checks)


@dataclass
class PlayedAction(Action):
    """Takes as long as it did, and ends as it did; then `acted` is told."""

    step: Step
    actions: Actions
    recorded: Mapping[tuple[str, str], PlayedStep]
    wait: Callable[[float], None]
    acted: Callable[[Step, Target], None]

    @override
    def precheck(self, target: Target) -> Ready:
        return Ready()

    @override
    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        known = self.recorded.get((self.step.action, target.key))
        self.wait(min(known.seconds if known else USUAL_SECONDS, timeout_seconds))
        if self.actions is Actions.FAIL:
            raise Permanent("in this replay no action works")
        if known is not None and known.failed and self.actions is Actions.RECORDED:
            raise Permanent(known.failed)
        self.acted(self.step, target)
        return Done(f"would have done {self.step.action} on {target.key}")

    @override
    def probe(self, target: Target, *, intended_at: datetime) -> Effect:
        return Effect.UNKNOWN
