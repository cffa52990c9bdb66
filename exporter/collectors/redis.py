"""INFO of one Redis or Valkey server, its slow log and its latencies, over one kept connection.

Rule: one write and one answer a scrape; text is passed on as the server wrote it. What a
server does not know or a user may not ask is absent and not asked again on that connection,
or the questions themselves would fill the server's error counters. Keys are never walked here.
"""

import logging
from collections.abc import Mapping
from itertools import pairwise

from exporter.collectors.port import Clocks
from exporter.collectors.redis_keys import KeyGroupScanner
from exporter.collectors.redis_wire import (
    TROUBLE,
    RedisLink,
    Refused,
    Reply,
    Words,
    unreachable,
)
from exporter.readings import LatencyHistogram, LatencySpike, Redis, Unreachable
from exporter.targets import RedisServer

log = logging.getLogger(__name__)

# Besides INFO. The first words name the answer.
_LENGTH: Words = ("SLOWLOG", "LEN")
_SLOWEST: Words = ("SLOWLOG", "GET", "1")
_SPIKES: Words = ("LATENCY", "LATEST")
_HISTOGRAM: Words = ("LATENCY", "HISTOGRAM")
_DATABASES: Words = ("CONFIG", "GET", "databases")


class RedisCollector:
    def __init__(self, server: RedisServer, clocks: Clocks) -> None:
        self._server = server
        self._clock = clocks.monotonic
        self._link = RedisLink(server, clocks.monotonic, name="stackmedic-exporter")
        self._keys = (
            KeyGroupScanner(server, server.key_groups, clocks) if server.key_groups else None
        )
        self._info = _sections(server)
        self._optional = (_LENGTH, _SLOWEST, _SPIKES) + (
            (_HISTOGRAM,) if server.latency_histograms else ()
        )
        self._vain: set[Words] = set()  # refused for good on the connection numbered below
        self._connection = 0
        self._databases = 0

    def collect(self, deadline: float) -> Redis | Unreachable:
        if self._keys is not None:
            self._keys.start()
        began = self._clock()
        try:
            fresh = self._fresh(deadline)
            questions = [q for q in (*self._optional, *fresh) if q not in self._vain]
            replies = self._link.ask_all(deadline, [*self._info, *questions])
            info = [_text(reply) for reply in replies[: len(self._info)]]
        except TROUBLE as error:
            self._link.close()
            return unreachable(self._server, error)
        answers = dict(zip(questions, replies[len(self._info) :], strict=True))
        self._learn(answers)
        return self._reading(b"".join(info), answers, began)

    def punctual(self) -> bool:
        # A handshake's time limit starts anew with each of its steps.
        return self._server.tls is None

    def cancel(self) -> None:
        self._link.cancel()

    def close(self) -> None:
        if self._keys is not None:
            self._keys.close()
        self._link.close()

    def _fresh(self, deadline: float) -> tuple[Words, ...]:
        """Connected; and what is asked only once on a connection."""
        self._link.connect(deadline)
        if self._connection == self._link.connections:
            return ()
        self._connection = self._link.connections
        self._vain.clear()
        return (_DATABASES,)

    def _learn(self, answers: Mapping[Words, Reply]) -> None:
        for question, reply in answers.items():
            if isinstance(reply, Refused) and reply.for_good:
                self._vain.add(question)
                words = " ".join(str(word) for word in question)
                log.info("redis %s: %s is not answered: %s", self._server.service, words, reply)
        match answers.get(_DATABASES):
            case [_, bytes(number)] if number.isdigit():
                self._databases = int(number)
            case _:
                pass

    def _reading(self, info: bytes, answers: Mapping[Words, Reply], began: float) -> Redis:
        length = answers.get(_LENGTH)
        last_id, last_seconds = slowest_of(answers.get(_SLOWEST))
        problem = self._keys.problem if self._keys else ""
        now = self._clock()
        return Redis(
            info=info_of(info),
            databases=self._databases,
            slowlog_length=length if isinstance(length, int) else None,
            slowlog_last_id=last_id,
            slowlog_last_seconds=last_seconds,
            latency_spikes=spikes_of(answers.get(_SPIKES)),
            latency_histograms=histograms_of(answers.get(_HISTOGRAM)),
            key_groups=self._keys.latest() if self._keys else None,
            connect_seconds=self._link.take_connect_seconds(),
            duration_seconds=now - began,
            problems=(problem,) if problem else (),
        )


def _sections(server: RedisServer) -> tuple[Words, ...]:
    """INFO: its default, and what is not in that and is wanted.

    The percentiles of `INFO all` cost the server more than all the rest.
    """
    if server.modules:
        return (("INFO", "everything"),)
    more = ("commandstats", *(("latencystats",) if server.latency_percentiles else ()))
    return (("INFO",), *(("INFO", section) for section in more))


def _text(reply: Reply) -> bytes:
    """Errors: Refused; ValueError when it is no text."""
    if isinstance(reply, Refused):
        raise reply
    if not isinstance(reply, bytes):
        raise ValueError("INFO was not answered with text")  # noqa: TRY004  the server's fault
    return reply


def info_of(text: bytes) -> dict[str, str]:
    """INFO -> field -> text. Pure."""
    lines = text.decode("utf-8", "replace").split("\r\n")
    return dict([line.split(":", 1) for line in lines if ":" in line and line[0] != "#"])


def slowest_of(reply: Reply) -> tuple[int | None, float | None]:
    """SLOWLOG GET 1 -> (id, seconds); 0 and 0 when nothing was slow yet, as is the custom."""
    match reply:
        case []:
            return 0, 0.0
        case [[int(number), int(_), int(microseconds), *_]]:
            return number, microseconds / 1e6
        case _:
            return None, None


def spikes_of(reply: Reply) -> dict[str, LatencySpike]:
    """LATENCY LATEST -> event -> its last spike."""
    found: dict[str, LatencySpike] = {}
    for row in reply if isinstance(reply, list) else ():
        match row:
            case [bytes(event), int(at), int(milliseconds), *_]:
                found[event.decode("utf-8", "replace")] = LatencySpike(at, milliseconds / 1e3)
            case _:
                continue
    return found


def histograms_of(reply: Reply) -> dict[str, LatencyHistogram]:
    """LATENCY HISTOGRAM -> command -> histogram."""
    found: dict[str, LatencyHistogram] = {}
    rows = reply if isinstance(reply, list) else []
    for command, row in zip(rows[::2], rows[1::2], strict=False):
        match command, row:
            case bytes(), [b"calls", int(calls), b"histogram_usec", [*numbers]]:
                flat = [number for number in numbers if isinstance(number, int)]
                buckets = tuple(zip(flat[::2], flat[1::2], strict=False))
                if all(one < other for (one, _), (other, _) in pairwise(buckets)):
                    name = command.decode("utf-8", "replace")
                    found[name] = LatencyHistogram(calls, buckets)
            case _:
                continue
    return found
