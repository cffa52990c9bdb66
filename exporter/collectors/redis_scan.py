"""Walking all keys of a database without anybody noticing.

Rule: never in a scrape. Steps are so small that others wait for 5 ms at most, and after each
the server is left alone nine times as long as the step took.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter.collectors.port import Clock
from exporter.collectors.redis_wire import RedisLink

BURST_SECONDS = 0.005
_SHARE = 0.1
_LONGEST_REST = 10.0
_FEWEST, _MOST = 16, 1024
STEP_TIMEOUT = 10.0


class Stopped(Exception):
    """The walk was told to end."""


@dataclass(slots=True)
class Pace:
    """Decides how many keys the next step asks for and how long to rest before it. Pure."""

    count: int = 128

    def rest_after(self, took: float) -> float:
        if took > BURST_SECONDS:
            self.count = max(_FEWEST, self.count // 2)
        elif took < BURST_SECONDS / 3:
            self.count = min(_MOST, self.count * 2)
        return min(_LONGEST_REST, took * (1 / _SHARE - 1))


def walk(
    link: RedisLink,
    clock: Clock,
    rest: Callable[[float], bool],
    *,
    match: bytes | None = None,
    pace: Pace | None = None,
) -> Iterator[list[bytes]]:
    """The keys, step by step; a key may come twice, as SCAN says.

    rest(seconds) waits between steps and is True when the walk must end. The time that the
    caller spends on a step's keys counts as part of the step.
    Errors: Stopped, and those of a link.
    """
    pace = pace or Pace()
    pattern = (b"MATCH", match) if match is not None else ()
    cursor: str | bytes = "0"
    while True:
        began = clock()
        reply = link.ask(began + STEP_TIMEOUT, "SCAN", cursor, *pattern, "COUNT", str(pace.count))
        if not (isinstance(reply, list) and len(reply) == 2):  # noqa: PLR2004  cursor and keys
            raise ValueError("SCAN was not answered with a cursor and keys")
        following, keys = reply
        if not (isinstance(following, bytes) and isinstance(keys, list)):
            raise ValueError("SCAN was not answered with a cursor and keys")  # noqa: TRY004  the server's fault
        yield [key for key in keys if isinstance(key, bytes)]
        if following == b"0":
            return
        cursor = following
        if rest(pace.rest_after(clock() - began)):
            raise Stopped
