"""What is played: alerts and orders of the past, as values.

Rule: pure. Times are aware UTC; an alert that has no end still fired when the history ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from remediator.notices import Story


@dataclass(frozen=True, slots=True)
class PlayedAlert:
    """`labels` hold alertname. It was pending since `active_at`, fired from `fires_at` on."""

    labels: Mapping[str, str]
    active_at: datetime
    fires_at: datetime
    ends_at: datetime | None


class OrderKind(StrEnum):
    DEPLOY = "deploy"
    MAINTENANCE = "maintenance"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class PlayedOrder:
    """What a human ordered. `target` is of a maintenance; None: everything."""

    kind: OrderKind
    starts_at: datetime
    ends_at: datetime
    target: str | None = None
    by: str = "the history"
    reason: str = "as recorded"


@dataclass(frozen=True, slots=True)
class PlayedStep:
    """How an action went when it was recorded."""

    seconds: float
    failed: str | None  # why


@dataclass(frozen=True, slots=True)
class History:
    """`steps` by (action, target), where the history tells of any; the last one counts."""

    alerts: tuple[PlayedAlert, ...]
    orders: tuple[PlayedOrder, ...] = ()
    steps: Mapping[tuple[str, str], PlayedStep] = field(default_factory=dict)

    @property
    def begins(self) -> datetime:
        return min(
            [alert.active_at for alert in self.alerts] + [order.starts_at for order in self.orders]
        )

    @property
    def ends(self) -> datetime:
        """The last that is known of it."""
        told = [alert.ends_at or alert.fires_at for alert in self.alerts]
        return max(told + [order.ends_at for order in self.orders])


@dataclass(frozen=True, slots=True)
class Played:
    """`incidents` as the API tells them, the oldest first; `unplanned` alerts by why."""

    incidents: tuple[Story, ...]
    unplanned: Mapping[str, int] = field(default_factory=dict)
