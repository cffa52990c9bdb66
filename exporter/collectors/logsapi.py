"""A container's log through the engine, where its files cannot be read.

Rule: slower by far, so asked every ten seconds only, and never followed: streams that follow
have hung at rotations in many versions of the engine. Lines are told apart by their time, so
what the engine sends again is not counted again. Asked for by name, because that is what a
filter before the engine can judge; so the name must still be this container's once the engine
has begun to answer.
"""

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from exporter.collectors.engine import ERRORS, EngineClient
from exporter.collectors.logcount import STREAMS, LineCounter
from exporter.readings import Container
from exporter.readings.logs import LOGS_API

ASK_SECONDS = 10.0
RETRY_SECONDS = 2.0
TIMEOUT_SECONDS = 2.0
READ_SECONDS = 0.3
_HEADER_BYTES = 8  # of a frame; the last four tell its length
_SPLIT = " "


class EngineLog:
    """The same as JsonLog, from the engine."""

    def __init__(
        self,
        url: str,
        container: Container,
        counter: LineCounter,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.source = LOGS_API
        self._url = url
        self._id = container.id
        self._name = container.name
        self._counter = counter
        self._clock = clock
        self._ask_at: datetime | None = None
        # By stream: the last time seen, as the engine wrote it, and how many lines had it.
        self._last = dict.fromkeys(STREAMS, ("", 0))
        self._since = 0

    @property
    def lag_bytes(self) -> int:
        return 0  # the engine does not say

    def begin_at_end(self) -> None:
        self._since = int(self._clock().timestamp())

    def poll(self, more_time: Callable[[], bool]) -> int:
        """Ask for what is new, if it is time to. What is left is asked for at the next call."""
        now = self._clock()
        if not more_time():
            return 0
        if self._ask_at and now < self._ask_at:
            return 0
        self._ask_at = now + timedelta(seconds=ASK_SECONDS)
        try:
            return sum(self._read(stream) for stream in STREAMS)
        except ERRORS as error:
            self._ask_at = now + timedelta(seconds=RETRY_SECONDS)
            raise OSError(0, f"{self._url}: no log: {type(error).__name__}") from error

    def close(self) -> None:
        """Nothing is kept open."""

    def saved(self) -> dict[str, Any]:
        return {"engine": [self._since, self._last]} | self._counter.saved()

    def restore(self, saved: dict[str, Any]) -> None:
        since, last = saved["engine"]
        self._counter.restore(saved)
        self._since = int(since)
        self._last = {stream: (str(last[stream][0]), int(last[stream][1])) for stream in STREAMS}

    def _read(self, stream: str) -> int:
        read = 0
        last, told = self._last[stream]
        skip, began_at = told, None
        with closing(self._entries(stream, _since(last) if last else str(self._since))) as entries:
            for time, text in entries:
                if time < last:
                    continue
                if time == last and skip:
                    skip -= 1
                    continue
                last, told = time, (told + 1 if time == last else 1)
                entry = {"log": text, "stream": stream, "time": time}
                line = json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n"
                self._counter.count(line.encode("utf-8", "replace"))
                read += len(text)
                self._last[stream] = (last, told)
                # From the first new line on: what was skipped must not use up every turn.
                now = self._clock()
                began_at = began_at or now
                if (now - began_at).total_seconds() > READ_SECONDS:
                    self._ask_at = None
                    break
        return read

    def _entries(self, stream: str, since: str) -> Generator[tuple[str, str], None, None]:
        """(time, text) of each entry; a text without a newline is a piece of a long message."""
        client = EngineClient(self._url, TIMEOUT_SECONDS)
        try:
            with client.log(self._name, stream, since) as chunks:
                inspected = client.inspect(self._name)
                if inspected.get("Id") != self._id:
                    return  # another container has the name now
                terminal = bool((inspected.get("Config") or {}).get("Tty"))
                for entry in _entries_of(chunks, terminal=terminal):
                    time, _, text = entry.decode("utf-8", "replace").partition(_SPLIT)
                    yield _padded(time), text
        finally:
            client.close()


def _entries_of(chunks: Iterable[bytes], *, terminal: bool) -> Iterator[bytes]:
    """What the engine sends -> its entries; one that breaks off is left out.

    A frame is an entry. Of a terminal there are no frames, and a line is an entry.
    """
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        begin = 0
        while True:
            if terminal:
                end = buffer.find(b"\n", begin) + 1
            else:
                begin, end = _frame(buffer, begin)
            if not end:
                break
            yield buffer[begin:end]
            begin = end
        buffer = buffer[begin:]


def _frame(buffer: bytes, at: int) -> tuple[int, int]:
    """Where the payload of the frame lies; (at, 0) when it is not there in full."""
    begin = at + _HEADER_BYTES
    length = int.from_bytes(buffer[begin - 4 : begin], "big")
    return (begin, begin + length) if begin + length <= len(buffer) else (at, 0)


def _padded(time: str) -> str:
    """Nanoseconds in full, so that times compare as text."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<9}Z"


def _since(time: str) -> str:
    """As the engine wants it written: Unix seconds and nanoseconds."""
    seconds = int(datetime.fromisoformat(time[:19] + "+00:00").timestamp())
    return f"{seconds}.{time[20:29]}"
