"""Workers' heartbeats, heard on the broker's event channels by a background subscriber.

Rule: a worker is down only when it was silent while somebody listened; as long as that cannot
be told, nothing is said. Workers publish a heartbeat every two seconds by themselves, also
without `-E`; only the three channels of workers' events are listened to, never tasks' events.
What is kept is bounded, and a body that is not JSON is never opened.
"""

import json
import threading
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from exporter.collectors.port import Clocks
from exporter.collectors.redis_wire import TROUBLE, RedisLink, Refused, Reply, unreachable
from exporter.readings import WorkerHeart
from exporter.targets import CeleryBroker

_EVENTS = ("worker.heartbeat", "worker.online", "worker.offline")
_MOST_WORKERS = 200
_LONGEST_HOSTNAME = 255
_FORGET_SECONDS = 600.0  # one that nobody expects and nobody hears
_LISTEN_SECONDS = 5.0
_SILENCE_SECONDS = 20.0  # then the connection itself is asked
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    hostname: str
    offline: bool = False
    active: int | None = None


@dataclass(slots=True)
class _Heard:
    at: float  # monotonic
    wall: float
    offline: bool = False
    active: int | None = None


class Hearts:
    def __init__(self, broker: CeleryBroker, clocks: Clocks) -> None:
        self._broker = broker
        self._clocks = clocks
        self._services = {worker.hostname: worker.service for worker in broker.workers}
        self._heard: dict[str, _Heard] = {}
        self._lock = threading.Lock()  # guards what was heard, and since when
        self._since: float | None = None  # listening without a gap since
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._link = RedisLink(
            broker.server, clocks.monotonic, name="stackmedic-hearts", db=broker.db, patient=False
        )
        self.problem = ""
        self.folded = 0

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="celery-hearts", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._link.cancel()
        if self._thread is not None:
            self._thread.join(_LISTEN_SECONDS)

    def workers(self) -> tuple[WorkerHeart, ...]:
        """Those expected and those heard, as of now."""
        now = self._clocks.monotonic()
        with self._lock:
            for name, heard in list(self._heard.items()):
                if name not in self._services and now - heard.at > _FORGET_SECONDS:
                    del self._heard[name]
            names = sorted({*self._services, *self._heard})
            return tuple(self._worker(name, now) for name in names)

    def hear(self, event: Event) -> None:
        with self._lock:
            if event.hostname not in self._heard and event.hostname not in self._services:
                strangers = len(self._heard.keys() - self._services.keys())
                if strangers >= _MOST_WORKERS:
                    self.folded += 1
                    return
            clocks = self._clocks
            self._heard[event.hostname] = _Heard(
                clocks.monotonic(), clocks.wall(), event.offline, event.active
            )

    def listening(self, since: float | None) -> None:
        """since: now that the subscription stands, None when it ended."""
        with self._lock:
            self._since = since

    def _worker(self, name: str, now: float) -> WorkerHeart:
        heard = self._heard.get(name)
        timeout = self._broker.heartbeat_timeout
        up: bool | None = None
        if heard is not None and heard.offline:
            up = False  # it said so itself
        elif heard is not None and now - heard.at <= timeout:
            up = True
        elif self._since is not None and now - self._since > timeout:
            up = False
        return WorkerHeart(
            hostname=name,
            service=self._services.get(name, ""),
            up=up,
            last_heartbeat=heard.wall if heard else None,
            active=heard.active if heard and up else None,
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except TROUBLE as error:
                self.problem = f"heartbeats: {unreachable(self._broker.server, error)}"
            self.listening(None)
            self._link.close()
            self._stop.wait(_RETRY_SECONDS)

    def _listen(self) -> None:
        clock = self._clocks.monotonic
        link = self._link
        channels = channels_of(self._broker)
        confirmed = link.ask(clock() + _LISTEN_SECONDS, "SUBSCRIBE", *channels)
        # The other channels' confirmations are read as messages below.
        if not isinstance(confirmed, list):
            raise ValueError("SUBSCRIBE was not answered with a list")  # noqa: TRY004  the server's fault
        self.listening(clock())
        self.problem = ""
        heard_at, asked = clock(), False
        while not self._stop.is_set():
            try:
                message = link.listen(clock() + _LISTEN_SECONDS)
            except TimeoutError:
                if clock() - heard_at > _SILENCE_SECONDS:
                    if asked:
                        raise
                    link.say(clock() + _LISTEN_SECONDS, "PING")
                    heard_at, asked = clock(), True
                continue
            heard_at, asked = clock(), False
            if isinstance(message, Refused):
                raise message
            event = event_of(message)
            if event is not None:
                self.hear(event)


def channels_of(broker: CeleryBroker) -> tuple[str, ...]:
    """Where kombu publishes; through a Sentinel, older ones leave the `{db}` as it is."""
    prefixes = (f"/{broker.db}.", "/{db}.")
    return tuple(
        f"{broker.key_prefix}{prefix}celeryev/{event}" for prefix in prefixes for event in _EVENTS
    )


def event_of(message: Reply) -> Event | None:
    """One pub/sub message -> what a worker said; None when it is something else. Pure."""
    match message:
        case [b"message", bytes(channel), bytes(text)]:
            hostname, active = _said(text)
        case _:
            return None
    if not isinstance(hostname, str) or not 0 < len(hostname) <= _LONGEST_HOSTNAME:
        return None
    return Event(
        hostname,
        offline=channel.endswith(b"worker.offline"),
        active=active if isinstance(active, int) else None,
    )


def _said(text: bytes) -> tuple[object, object]:
    """(hostname, active tasks) of kombu's envelope, as they stand there."""
    try:
        envelope = json.loads(text)
        body = _body(envelope) if envelope["content-type"] == "application/json" else {}
        return body.get("hostname") or envelope["headers"]["hostname"], body.get("active")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, None


def _body(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    body = envelope["body"]
    if envelope["properties"].get("body_encoding") == "base64":
        body = b64decode(body)
    found = json.loads(body)
    return found if isinstance(found, dict) else {}
