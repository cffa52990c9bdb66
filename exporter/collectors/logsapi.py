"""A container's log through the engine, where its files cannot be read.

Rule: slower by far, so asked every ten seconds only, and never followed: streams that follow
have hung at rotations in many versions of the engine. Lines are told apart by their time, so
what the engine sends again is not counted again.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from exporter.collectors.engine import ERRORS, EngineClient
from exporter.collectors.logcount import PIECE_BYTES, STREAMS, LineCounter
from exporter.readings import Container

ASK_SECONDS = 10.0
TIMEOUT_SECONDS = 2.0
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
        self._url = url
        self._id = container.id
        self._counter = counter
        self._clock = clock
        self._asked_at: datetime | None = None
        # By stream: the last time seen, as the engine wrote it, and how many lines had it.
        self._last = dict.fromkeys(STREAMS, ("", 0))
        self._since = 0

    @property
    def lag_bytes(self) -> int:
        return 0  # the engine does not say

    def begin_at_end(self) -> None:
        self._since = int(self._clock().timestamp())

    def poll(self, more_time: Callable[[], bool]) -> int:
        """Ask for what is new, if it is time to. What was begun is read to its end."""
        now = self._clock()
        if not more_time():
            return 0
        if self._asked_at and (now - self._asked_at).total_seconds() < ASK_SECONDS:
            return 0
        self._asked_at = now
        try:
            return sum(self._read(stream) for stream in STREAMS)
        except ERRORS as error:
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
        skip = told
        for time, text in self._entries(stream, _unix(last) if last else self._since):
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
        return read

    def _entries(self, stream: str, since: int) -> Iterator[tuple[str, str]]:
        """(time, text) of each entry; a text without a newline is a piece of a long message."""
        client = EngineClient(self._url, TIMEOUT_SECONDS)
        try:
            buffer = b""
            for chunk in client.logs(self._id, stream, since):
                buffer += chunk
                # Of a terminal the engine sends bytes as they come, not entries.
                if not buffer.endswith(b"\n") and len(buffer) < PIECE_BYTES:
                    continue
                time, _, text = buffer.decode("utf-8", "replace").partition(_SPLIT)
                buffer = b""
                yield _padded(time), text
        finally:
            client.close()


def _padded(time: str) -> str:
    """Nanoseconds in full, so that times compare as text."""
    whole, _, fraction = time.rstrip("Z").partition(".")
    return f"{whole}.{fraction:0<9}Z"


def _unix(time: str) -> int:
    return int(datetime.fromisoformat(time[:19] + "+00:00").timestamp())
