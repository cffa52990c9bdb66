"""The container set, kept by the engine's event stream.

Rule: a scrape makes no engine call while the stream is live. One thread follows the events and
inspects what they name, and reads the whole set whenever the stream was lost. Another asks every
few seconds whether the engine still answers, for a stream of one that hangs is only quiet, and
compares the list every minute, so a missed event heals. An inspection that began earlier never
overwrites a later one.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from exporter.collectors.engine import ERRORS, EngineClient, NotFound, Refused
from exporter.collectors.event_counts import EventCounts
from exporter.collectors.inspection import container_of, told_by
from exporter.collectors.port import Clocks
from exporter.readings import Cause, Container, Containers, Unreachable
from exporter.readings.containers import Machine
from exporter.targets import Engine

log = logging.getLogger(__name__)

RESYNC_SECONDS = 60.0
STALE_SECONDS = 90.0
RECONNECT_SECONDS = 1.0
CHECK_SECONDS = 5.0
PATIENCE_SECONDS = 5.0
EVENTS = [
    "create",
    "start",
    "die",
    "oom",
    "health_status",
    "destroy",
    "rename",
    "pause",
    "unpause",
    "restart",
    "update",
    "stop",
]


class EventStream(Protocol):
    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> None:
        """From any thread: whoever waits for an event goes on."""
        ...

    def release(self) -> None: ...


class Client(Protocol):
    """What is asked of the engine. Used by one thread at a time."""

    timeout: float

    def containers(self) -> list[Mapping[str, Any]]: ...
    def inspect(self, container_id: str) -> Mapping[str, Any]: ...
    def info(self) -> Mapping[str, Any]: ...
    def ping(self) -> None: ...
    def events(self, since: str | None, filters: Mapping[str, Sequence[str]]) -> EventStream: ...
    def close(self) -> None: ...


Connect = Callable[[str, float], Client]


class EventedContainers:
    """The ContainerSet over one engine. start() begins to follow its events."""

    def __init__(self, engine: Engine, clocks: Clocks, connect: Connect = EngineClient) -> None:
        self._engine = engine
        self._clocks = clocks
        self._connect = connect
        self._counts = EventCounts(engine.state_file)
        self._sequence = itertools.count(1)
        self._lock = threading.Lock()  # guards what follows
        self._containers: dict[str, tuple[int, Container | None]] = {}  # None: destroyed
        self._known: tuple[Container, ...] | None = None  # those, sorted; until one changes
        self._machine: Machine | None = None
        self._synced_at: float | None = None
        self._live = False
        self._away = False  # the last call to the engine failed
        self._syncing = threading.Lock()
        self._client: Client | None = None  # belongs to whoever holds _syncing
        self._stopping = threading.Event()
        self._stream: EventStream | None = None
        self._threads = [
            threading.Thread(target=self._follow, name="docker-events", daemon=True),
            threading.Thread(target=self._check, name="docker-check", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._end_stream()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=2)
        self._counts.save(self._clocks.monotonic(), at_once=True)
        with self._syncing:
            if self._client is not None:
                self._client.close()
                self._client = None

    def save(self) -> None:
        """Put counts that an event left unsaved on the disk, if it is time."""
        self._counts.save(self._clocks.monotonic())

    # The set, for collectors.

    def live(self) -> bool:
        return self._fresh(self._clocks.monotonic())

    def current(self, deadline: float) -> Containers | Unreachable:
        called_at = self._clocks.monotonic()
        if self._fresh(called_at):
            return self._reading()
        if not self._syncing.acquire(timeout=max(0.0, deadline - called_at)):
            return Unreachable(Cause.TIMEOUT, f"{self._engine.url}: waiting for the container list")
        try:
            # Whoever waited behind a resync that began after the call shares its result.
            if self._synced_at is not None and self._synced_at >= called_at:
                return self._reading()
            self._resync(self._own_client(deadline))
        except ERRORS as error:
            self._drop_client()
            self._away = True
            return unreachable(self._engine.url, error)
        finally:
            self._syncing.release()
        return self._reading()

    def known(self, deadline: float) -> Containers | Unreachable:
        if self._away and self._synced_at is not None:
            return self._reading()  # to wait for the engine would use up the scrape
        reading = self.current(deadline)
        if isinstance(reading, Unreachable) and self._synced_at is not None:
            return self._reading()
        return reading

    def _fresh(self, now: float) -> bool:
        with self._lock:
            synced_at = self._synced_at
            return self._live and synced_at is not None and now - synced_at < STALE_SECONDS

    def _reading(self) -> Containers:
        with self._lock:
            if self._known is None:
                alive = [c for _, c in self._containers.values() if c is not None]
                self._known = tuple(sorted(alive, key=lambda c: c.name))
            containers, machine = self._known, self._machine
        exits, ooms = self._counts.counted()
        return Containers(
            seen_at=self._clocks.wall(),
            containers=containers,
            exits=exits,
            oom_events=ooms,
            machine=machine,
            problems=(self._counts.problem,) if self._counts.problem else (),
        )

    def _own_client(self, deadline: float) -> Client:
        timeout = max(0.1, deadline - self._clocks.monotonic())
        if self._client is None:
            self._client = self._connect(self._engine.url, timeout)
        self._client.timeout = timeout
        return self._client

    def _drop_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    # Reading the engine.

    def _resync(self, client: Client, *, changed_only: bool = False) -> None:
        """Read the set. changed_only: inspect only what the list tells otherwise than known."""
        began_at = self._clocks.monotonic()
        sequence = next(self._sequence)
        listed = client.containers()
        alive = {
            item["Id"]: item
            for item in listed
            if self._engine.watches(
                (item.get("Labels") or {}).get("com.docker.compose.project", "")
            )
        }
        for container_id, item in alive.items():
            _, known = self._containers.get(container_id, (0, None))
            if not (changed_only and known is not None and told_by(item, known)):
                self._inspect(client, container_id)
        with self._lock:
            for container_id, (seen, _) in list(self._containers.items()):
                # Tombstones older than this list have done their work too.
                if container_id not in alive and seen < sequence:
                    del self._containers[container_id]
                    self._known = None
            self._synced_at, self._away = began_at, False
            names = {c.name for _, c in self._containers.values() if c is not None}
            machine = self._machine
        self._counts.forget(names)
        if machine is None:
            machine = machine_of(client)
            with self._lock:
                self._machine = machine

    def _inspect(self, client: Client, container_id: str) -> None:
        sequence = next(self._sequence)
        try:
            container = container_of(client.inspect(container_id))
        except NotFound:
            container = None  # removed since
        with self._lock:
            seen, before = self._containers.get(container_id, (0, None))
            if seen < sequence:
                self._containers[container_id] = (sequence, container)
                if container != before:
                    self._known = None

    # Whether the engine still answers.

    def _check(self) -> None:
        while not self._stopping.wait(CHECK_SECONDS):
            if not self._live:
                continue  # whoever follows the events is at it
            try:
                self._check_once()
            except ERRORS as error:
                self._away = True
                self._lost(str(unreachable(self._engine.url, error)))
                # Perhaps its connection is dead without knowing: begin with a new one.
                self._end_stream()

    def _check_once(self) -> None:
        with self._syncing:
            now = self._clocks.monotonic()
            try:
                client = self._own_client(now + PATIENCE_SECONDS)
                if self._synced_at is None or now - self._synced_at >= RESYNC_SECONDS:
                    self._resync(client, changed_only=True)
                else:
                    client.ping()
            except ERRORS:
                self._drop_client()
                raise
        with self._lock:
            containers = [c for _, c in self._containers.values() if c is not None]
        self._counts.settle(containers, self._clocks.monotonic())

    # Following the events.

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow_once()
            except ERRORS as error:
                self._away = True
                self._lost(str(unreachable(self._engine.url, error)))
            except Exception as error:  # noqa: BLE001  the thread's edge: a bug here must not end the watch
                self._lost(f"{type(error).__name__}: {error}")
            self._stopping.wait(RECONNECT_SECONDS)

    def _follow_once(self) -> None:
        client = self._connect(self._engine.url, PATIENCE_SECONDS)
        stream = None
        try:
            filters = {"type": ["container"], "event": EVENTS}
            stream = self._stream = client.events(self._counts.since(), filters)
            # The stream is open, so nothing that happens from here on is missed.
            with self._syncing:
                self._resync(client)
            with self._lock:
                self._live = True
            log.info("%s: following events", self._engine.url)
            for event in stream:
                if self._stopping.is_set():
                    return
                if isinstance(event, Mapping):
                    self._on_event(client, event)
            self._lost("the stream ended")
        finally:
            self._end_stream()
            if stream is not None:
                stream.release()
            client.close()

    def _on_event(self, client: Client, event: Mapping[str, Any]) -> None:
        actor = event.get("Actor") or {}
        container_id = str(actor.get("ID") or "")
        project = (actor.get("Attributes") or {}).get("com.docker.compose.project", "")
        if not container_id or not self._engine.watches(project):
            self._counts.skip(event)
        elif self._counts.take(event):
            self._counts.save(self._clocks.monotonic())
            self._inspect(client, container_id)

    def _lost(self, why: str) -> None:
        with self._lock:
            was_live, self._live = self._live, False
        if was_live and not self._stopping.is_set():
            log.warning("%s: event stream lost: %s", self._engine.url, why)

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class DockerCollector:
    """The set itself, as a reading."""

    def __init__(self, containers: EventedContainers) -> None:
        self._containers = containers

    def collect(self, deadline: float) -> Containers | Unreachable:
        reading = self._containers.current(deadline)
        self._containers.save()
        return reading

    def instant(self) -> bool:
        return self._containers.live()

    def cancel(self) -> None:
        """Nothing to do: every call to the engine has the deadline as its timeout."""

    def close(self) -> None:
        self._containers.close()


def machine_of(client: Client) -> Machine | None:
    """None when the engine, or the proxy before it, does not say."""
    try:
        info = client.info()
        return Machine(int(info["NCPU"]), int(info["MemTotal"]))
    except (*ERRORS, KeyError, TypeError) as error:
        log.info("machine not known: %s", error)
        return None


def unreachable(url: str, error: Exception) -> Unreachable:
    if isinstance(error, TimeoutError):
        return Unreachable(Cause.TIMEOUT, f"{url}: no answer in time")
    if isinstance(error, OSError):
        return Unreachable(Cause.CONNECT, f"{url}: no connection to the engine")
    if isinstance(error, Refused):
        return Unreachable(Cause.REFUSED, f"{url}: {error}")
    return Unreachable(Cause.PROTOCOL, f"{url}: {type(error).__name__}: {error}")
