"""container_* and compose_service_*: what the engine knows, also of what does not run.

Rule: names, types and units of known families are cAdvisor's. Series are keyed by container
name and by service, never by id, so they survive a recreate.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import cast

from typing_extensions import override

from exporter.families.metric import Family, Sample, counter, gauge, one_of
from exporter.readings import Container, Containers, ContainerState, Health, Unreachable
from exporter.readings.containers import EXIT_CODES, Machine
from exporter.targets import Engine

LABELS = (
    "name",
    "image",
    "container_label_com_docker_compose_project",
    "container_label_com_docker_compose_service",
    "service",
)
LAST_SEEN = gauge("container_last_seen", "Last time the container was seen alive.", LABELS)
CREATED = gauge("container_creation_time_seconds", "Creation, Unix time.", LABELS)
INFO = gauge(
    "container_info",
    "1, with what changes with every container of the name.",
    (*LABELS, "id", "image_id", "restart_policy"),
)
START = gauge("container_start_time_seconds", "Start of the container, Unix time.", LABELS)
STATE = gauge(
    "container_state", "1 for the state the engine reports, 0 for the others.", (*LABELS, "state")
)
HEALTH = gauge(
    "container_health_status",
    "1 for the health check's verdict, 0 for the others; none while it is not running.",
    (*LABELS, "status"),
)
HEALTH_STATE = gauge(
    "container_health_state", "1 healthy, 0 unhealthy or starting, -1 without a verdict.", LABELS
)
FAILING_STREAK = gauge("container_health_failing_streak", "Health checks failed in a row.", LABELS)
RESTARTS = counter("container_restarts_total", "Restarts by the engine's restart policy.", LABELS)
EXIT_CODE = gauge(
    "container_last_exit_code", "Exit code of the last run; 0 before the first end.", LABELS
)
EXITED_AT = gauge(
    "container_last_exit_timestamp_seconds", "End of the last run, Unix time.", LABELS
)
OOM_KILLED = gauge("container_oom_killed", "1 if the last run was ended for memory.", LABELS)
EXITS = counter(
    "container_exits_total",
    "Ends of the container, counted from the engine's events.",
    (*LABELS, "exit_code"),
)
OOM_EVENTS = counter(
    "container_oom_events_total",
    "The engine's out-of-memory events; a child that was killed counts, too.",
    LABELS,
)
MEMORY_LIMIT = gauge("container_spec_memory_limit_bytes", "Memory limit, 0 without one.", LABELS)
MEMORY_RESERVATION = gauge(
    "container_spec_memory_reservation_limit_bytes", "Soft memory limit, 0 without one.", LABELS
)
SWAP_LIMIT = gauge(
    "container_spec_memory_swap_limit_bytes", "Limit of memory and swap, 0 without one.", LABELS
)
CPU_PERIOD = gauge("container_spec_cpu_period", "CPU period in microseconds.", LABELS)
CPU_QUOTA = gauge("container_spec_cpu_quota", "CPU quota per period in microseconds.", LABELS)
CPU_SHARES = gauge("container_spec_cpu_shares", "CPU shares, 0 for the engine's default.", LABELS)

CORES = gauge("machine_cpu_cores", "CPUs of the engine's machine.")
MEMORY = gauge("machine_memory_bytes", "Memory of the engine's machine.")

SERVICE_STATE = gauge(
    "compose_service_state",
    "1 for the best state among the service's containers, missing when it has none.",
    ("service", "state"),
)
SERVICE_HEALTH = gauge(
    "compose_service_health",
    "1 for the worst health among running containers.",
    ("service", "status"),
)
REPLICAS = gauge(
    "compose_service_replicas", "Containers of the service by state.", ("service", "state")
)
EXPECTED = gauge(
    "compose_service_expected_replicas",
    "1: the configuration says the service exists.",
    ("service",),
)

Named = tuple[tuple[str, ...], Container]  # with its label values

MISSING = "missing"
# Best first: during a recreate the old container has exited while the new one is created.
_BEST = (
    ContainerState.RUNNING,
    ContainerState.RESTARTING,
    ContainerState.CREATED,
    ContainerState.PAUSED,
    ContainerState.REMOVING,
    ContainerState.EXITED,
    ContainerState.DEAD,
)
_ALIVE = (ContainerState.RUNNING, ContainerState.PAUSED)
_WORST_HEALTH = (Health.UNHEALTHY, Health.STARTING, Health.HEALTHY, Health.NONE)
_HEALTH_NUMBER = {Health.HEALTHY: 1.0, Health.UNHEALTHY: 0.0, Health.STARTING: 0.0}


def families(engine: Engine, reading: Containers | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    now = reading.seen_at
    named, lasting = _lasting(
        engine, _Same(reading.containers), _Same(reading.exits), _Same(reading.oom_events)
    )
    return [
        LAST_SEEN.family((v, now if c.state in _ALIVE else c.finished_at) for v, c in named),
        *lasting,
        *_machine_families(reading.machine),
    ]


class _Same:
    """Equal to itself only, so that a cache need not look inside what is handed in."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    @override
    def __hash__(self) -> int:
        return id(self.value)


@lru_cache(maxsize=2)
def _lasting(
    engine: Engine, containers: _Same, exits: _Same, ooms: _Same
) -> tuple[list[Named], list[Family]]:
    """What stays the same from scrape to scrape until an event changes the set."""
    known = cast("tuple[Container, ...]", containers.value)
    named = labelled(engine, known)
    return named, [
        *_container_families(named),
        *_event_families(
            named,
            cast("Mapping[tuple[str, str], int]", exits.value),
            cast("Mapping[str, int]", ooms.value),
        ),
        *_spec_families(named),
        *_service_families(engine, known),
    ]


def labelled(engine: Engine, containers: Iterable[Container]) -> list[Named]:
    """The watched containers with their label values, one per name: the best state wins."""
    keys = engine.service_keys()
    by_name: dict[str, Container] = {}
    for container in containers:
        other = by_name.get(container.name)
        if engine.watches(container.project) and (
            other is None or _BEST.index(container.state) < _BEST.index(other.state)
        ):
            by_name[container.name] = container
    return [(label_values(keys, c), c) for c in by_name.values()]


def label_values(keys: dict[tuple[str, str], str], container: Container) -> tuple[str, ...]:
    service = keys.get((container.project, container.compose_service), "")
    return _kept(
        container.name,
        container.image,
        container.project,
        container.compose_service,
        "" if container.one_off else service,
    )


@lru_cache(maxsize=4096)
def _kept(*values: str) -> tuple[str, ...]:
    """The same tuple every time: the encoder knows series by it without looking inside."""
    return values


@lru_cache(maxsize=16384)
def extended(labels: tuple[str, ...], *more: str) -> tuple[str, ...]:
    """Labels and some more values, as one tuple that is kept like theirs."""
    return (*labels, *more)


def _container_families(named: list[Named]) -> list[Family]:
    return [
        CREATED.family((v, c.created_at) for v, c in named if c.created_at),
        INFO.family((extended(v, c.id, c.image_id, c.restart_policy), 1) for v, c in named),
        START.family((v, c.started_at) for v, c in named if c.started_at),
        STATE.family(_one_of(named, ContainerState, lambda c: c.state)),
        HEALTH.family(_one_of(named, Health, lambda c: c.health)),
        HEALTH_STATE.family((v, _HEALTH_NUMBER.get(c.health, -1.0)) for v, c in named),
        FAILING_STREAK.family((v, c.failing_streak) for v, c in named if c.health != Health.NONE),
        RESTARTS.family((v, c.restarts) for v, c in named),
        EXIT_CODE.family((v, c.exit_code) for v, c in named),
        EXITED_AT.family((v, c.finished_at) for v, c in named if c.finished_at),
        OOM_KILLED.family((v, c.oom_killed) for v, c in named),
    ]


def _event_families(
    named: list[Named], exits: Mapping[tuple[str, str], int], ooms: Mapping[str, int]
) -> list[Family]:
    return [
        EXITS.family(
            (extended(v, code), exits.get((c.name, code), 0))
            for v, c in named
            for code in EXIT_CODES
        ),
        OOM_EVENTS.family((v, ooms.get(c.name, 0)) for v, c in named),
    ]


def _one_of(
    named: list[Named],
    words: Iterable[str],
    chosen: Callable[[Container], str],
) -> list[Sample]:
    return [
        (extended(v, word), 1 if word is word_now else 0)
        for v, c in named
        for word_now in (chosen(c),)
        for word in words
    ]


def _spec_families(named: list[Named]) -> list[Family]:
    return [
        MEMORY_LIMIT.family((v, c.memory_limit_bytes) for v, c in named),
        MEMORY_RESERVATION.family((v, c.memory_reservation_bytes) for v, c in named),
        SWAP_LIMIT.family((v, c.memory_swap_limit_bytes) for v, c in named),
        CPU_PERIOD.family((v, c.cpu_period) for v, c in named if c.cpu_period),
        CPU_QUOTA.family((v, c.cpu_quota) for v, c in named if c.cpu_quota),
        CPU_SHARES.family((v, c.cpu_shares) for v, c in named),
    ]


def _machine_families(machine: Machine | None) -> list[Family]:
    if machine is None:
        return []
    return [CORES.family([((), machine.cpu_cores)]), MEMORY.family([((), machine.memory_bytes)])]


def _service_families(engine: Engine, containers: Iterable[Container]) -> list[Family]:
    members: dict[str, list[Container]] = {service.key: [] for service in engine.services}
    keys = engine.service_keys()
    for container in containers:
        key = keys.get((container.project, container.compose_service))
        if key is not None and not container.one_off:
            members[key].append(container)
    states: list[Sample] = []
    healths: list[Sample] = []
    replicas: list[Sample] = []
    for key, group in members.items():
        states += one_of((key,), (*ContainerState, MISSING), _best_state(group))
        healths += one_of((key,), Health, _worst_health(group))
        replicas += [
            ((key, state), sum(c.state is state for c in group)) for state in ContainerState
        ]
    return [
        SERVICE_STATE.family(states),
        SERVICE_HEALTH.family(healths),
        REPLICAS.family(replicas),
        EXPECTED.family(((key,), 1) for key in members),
    ]


def _best_state(group: list[Container]) -> str:
    return min((c.state for c in group), key=_BEST.index) if group else MISSING


def _worst_health(group: list[Container]) -> Health:
    running = [c.health for c in group if c.state is ContainerState.RUNNING]
    return min(running, key=_WORST_HEALTH.index, default=Health.NONE)
