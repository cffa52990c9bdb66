"""Which queues a Celery broker has: kombu's binding sets, found in the background.

Rule: the broker's database may hold a million results, so it is walked in slices and never
in a scrape. At most a hundred queues; queues of one worker or one client are left out.
"""

import threading

from exporter.collectors.port import Clocks
from exporter.collectors.redis_scan import STEP_TIMEOUT, Stopped, walk
from exporter.collectors.redis_wire import TROUBLE, RedisLink, Refused, unreachable
from exporter.globs import escaped
from exporter.targets import CeleryBroker

MOST_QUEUES = 100
_BINDING = "_kombu.binding."
_SEPARATOR = b"\x06\x16"
_INTERVAL_SECONDS = 60.0
_RETRY_SECONDS = 5.0


class QueueFinder:
    def __init__(self, broker: CeleryBroker, clocks: Clocks) -> None:
        self._broker = broker
        self._clocks = clocks
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._link = RedisLink(
            broker.server, clocks.monotonic, name="stackmedic-queues", db=broker.db, patient=False
        )
        self.found: tuple[str, ...] = ()
        self.folded = 0
        self.problem = ""

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="celery-queues", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._link.cancel()
        if self._thread is not None:
            self._thread.join(STEP_TIMEOUT)

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            try:
                names = sorted(self._look())
            except Stopped:
                break
            except TROUBLE as error:
                self.problem = f"queues: {unreachable(self._broker.server, error)}"
                pause = _RETRY_SECONDS
            else:
                self.found, self.problem = tuple(names[:MOST_QUEUES]), ""
                self.folded = len(names) - len(self.found)
                pause = _INTERVAL_SECONDS
            self._link.close()
        self._link.close()

    def _look(self) -> set[str]:
        clock = self._clocks.monotonic
        prefix = self._broker.key_prefix + _BINDING
        match = f"{escaped(prefix)}*".encode()
        tables = [
            key for keys in walk(self._link, clock, self._stop.wait, match=match) for key in keys
        ]
        names: set[str] = set()
        for table in tables[:MOST_QUEUES]:
            exchange = table.decode("utf-8", "replace").removeprefix(prefix)
            members = self._link.ask_all(clock() + STEP_TIMEOUT, [("SMEMBERS", table)])[0]
            if isinstance(members, Refused) and not str(members).startswith("WRONGTYPE"):
                raise members
            if isinstance(members, list):
                names |= queues_of(exchange, [m for m in members if isinstance(m, bytes)])
        return names


def queues_of(exchange: str, members: list[bytes]) -> set[str]:
    """The queues that a binding set names: (routing key, pattern, queue) each. Pure."""
    if exchange == "celeryev" or exchange.endswith("pidbox"):
        return set()
    names = (member.split(_SEPARATOR)[-1].decode("utf-8", "replace") for member in members)
    return {name for name in names if name and not name.startswith(("bcast.", "celeryev."))}
