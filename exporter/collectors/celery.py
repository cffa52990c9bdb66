"""Queues and tasks in flight of one Celery broker, read from Redis alone, in one write.

Rule: no worker is asked anything, so a scrape costs them nothing and a dead one cannot delay
it. Priorities are lists of their own in Redis, and all of them are counted.
"""

from exporter.collectors.celery_hearts import Hearts
from exporter.collectors.celery_queues import QueueFinder
from exporter.collectors.port import Clocks
from exporter.collectors.redis_wire import (
    TROUBLE,
    RedisLink,
    Refused,
    Reply,
    Words,
    unreachable,
)
from exporter.readings import Celery, CeleryQueue, Unreachable
from exporter.targets import CeleryBroker

_SEPARATOR = "\x06\x16"
_UNACKED, _UNACKED_INDEX = "unacked", "unacked_index"


class CeleryCollector:
    def __init__(self, broker: CeleryBroker, clocks: Clocks) -> None:
        self._broker = broker
        self._clocks = clocks
        self._link = RedisLink(
            broker.server, clocks.monotonic, name="stackmedic-exporter", db=broker.db
        )
        self._hearts = Hearts(broker, clocks)
        self._finder = QueueFinder(broker, clocks)
        self._drained: dict[str, float] = {}

    def collect(self, deadline: float) -> Celery | Unreachable:
        self._hearts.start()
        self._finder.start()
        queues = tuple(dict.fromkeys((*self._broker.queues, *self._finder.found)))
        try:
            unacked, oldest, *lengths = self._link.ask_all(deadline, self._questions(queues))
            for reply in (unacked, oldest):
                if isinstance(reply, Refused):
                    raise reply
            counted = self._counted(queues, lengths)
        except TROUBLE as error:
            self._link.close()
            return unreachable(self._broker.server, error)
        problems = [self._hearts.problem, self._finder.problem]
        problems += [f"queue {name} is no list" for name in queues if name not in counted]
        return Celery(
            queues=self._watched(counted),
            unacked=unacked if isinstance(unacked, int) else 0,
            unacked_oldest=oldest_of(oldest),
            workers=self._hearts.workers(),
            queues_folded=self._finder.folded,
            heartbeats_folded=self._hearts.folded,
            problems=tuple(problem for problem in problems if problem),
        )

    def cancel(self) -> None:
        self._link.cancel()

    def close(self) -> None:
        self._hearts.close()
        self._finder.close()
        self._link.close()

    def _questions(self, queues: tuple[str, ...]) -> list[Words]:
        prefix = self._broker.key_prefix
        return [
            ("HLEN", prefix + _UNACKED),
            ("ZRANGE", prefix + _UNACKED_INDEX, "0", "0", "WITHSCORES"),
            *(
                ("LLEN", prefix + list_of(queue, priority))
                for queue in queues
                for priority in self._broker.priority_steps
            ),
        ]

    def _counted(self, queues: tuple[str, ...], lengths: list[Reply]) -> dict[str, dict[int, int]]:
        """By queue and priority; without those whose key is something else."""
        steps = self._broker.priority_steps
        counted: dict[str, dict[int, int]] = {}
        for number, queue in enumerate(queues):
            replies = lengths[number * len(steps) : (number + 1) * len(steps)]
            for reply in replies:
                if isinstance(reply, Refused) and not str(reply).startswith("WRONGTYPE"):
                    raise reply
            found = [reply for reply in replies if isinstance(reply, int)]
            if len(found) == len(steps):
                counted[queue] = dict(zip(steps, found, strict=True))
        return counted

    def _watched(self, counted: dict[str, dict[int, int]]) -> dict[str, CeleryQueue]:
        now = self._clocks.wall()
        self._drained = {
            queue: now if not any(lengths.values()) else self._drained.get(queue, now)
            for queue, lengths in counted.items()
        }
        return {
            queue: CeleryQueue(lengths, self._drained[queue]) for queue, lengths in counted.items()
        }


def list_of(queue: str, priority: int) -> str:
    """The key of one priority's list, as kombu writes it."""
    return f"{queue}{_SEPARATOR}{priority}" if priority else queue


def oldest_of(reply: Reply) -> float | None:
    match reply:
        case [_, bytes(score)]:
            return float(score)
        case _:
            return None
