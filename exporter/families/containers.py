"""container_* and compose_service_*: what the engine knows, also of what does not run.

Rule: names, types and units of known families are cAdvisor's. Series are keyed by container
name and by service, never by id, so they survive a recreate.
"""

from collections.abc import Iterable

from exporter.families.metric import Family, Sample, counter, gauge, one_of
from exporter.readings import Container, Containers, ContainerState, Health, Unreachable
from exporter.targets import Engine

LABELS = (
    "name",
    "image",
    "container_label_com_docker_compose_project",
    "container_label_com_docker_compose_service",
    "service",
)
LAST_SEEN = gauge("container_last_seen", "Last time the container was seen alive.", LABELS)
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
RESTARTS = counter("container_restarts_total", "Restarts by the engine's restart policy.", LABELS)
EXIT_CODE = gauge(
    "container_last_exit_code", "Exit code of the last run; 0 before the first end.", LABELS
)
OOM_KILLED = gauge("container_oom_killed", "1 if the last run was ended for memory.", LABELS)
EXITS = counter(
    "container_exits_total",
    "Ends of the container seen since this exporter started.",
    (*LABELS, "exit_code"),
)
OOM_EVENTS = counter(
    "container_oom_events_total", "Processes killed for memory since this exporter started.", LABELS
)
MEMORY_LIMIT = gauge("container_spec_memory_limit_bytes", "Memory limit, 0 without one.", LABELS)
CPU_PERIOD = gauge("container_spec_cpu_period", "CPU period in microseconds.", LABELS)
CPU_QUOTA = gauge("container_spec_cpu_quota", "CPU quota per period in microseconds.", LABELS)
CPU_SHARES = gauge("container_spec_cpu_shares", "CPU shares, 0 for the engine's default.", LABELS)

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
_WORST_HEALTH = (Health.UNHEALTHY, Health.STARTING, Health.HEALTHY, Health.NONE)
_HEALTH_NUMBER = {Health.HEALTHY: 1.0, Health.UNHEALTHY: 0.0, Health.STARTING: 0.0}


def families(engine: Engine, reading: Containers | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    named = labelled(engine, reading.containers)
    return [
        *_container_families(named, reading),
        *_spec_families(named),
        *_service_families(engine, reading.containers),
    ]


def labelled(
    engine: Engine, containers: Iterable[Container]
) -> list[tuple[tuple[str, ...], Container]]:
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
    return (
        container.name,
        container.image,
        container.project,
        container.compose_service,
        "" if container.one_off else service,
    )


def _container_families(
    named: list[tuple[tuple[str, ...], Container]], reading: Containers
) -> list[Family]:
    now = reading.seen_at
    alive = (ContainerState.RUNNING, ContainerState.PAUSED)
    labels_of = {container.name: labels for labels, container in named}
    return [
        LAST_SEEN.family((v, now if c.state in alive else c.finished_at) for v, c in named),
        START.family((v, c.started_at) for v, c in named if c.started_at),
        STATE.family(s for v, c in named for s in one_of(v, ContainerState, c.state)),
        HEALTH.family(s for v, c in named for s in one_of(v, Health, c.health)),
        HEALTH_STATE.family((v, _HEALTH_NUMBER.get(c.health, -1.0)) for v, c in named),
        RESTARTS.family((v, c.restarts) for v, c in named),
        EXIT_CODE.family((v, c.exit_code) for v, c in named),
        OOM_KILLED.family((v, c.oom_killed) for v, c in named),
        EXITS.family(
            ((*labels_of[name], code), count)
            for (name, code), count in reading.exits.items()
            if name in labels_of
        ),
        OOM_EVENTS.family((v, reading.oom_events.get(c.name, 0)) for v, c in named),
    ]


def _spec_families(named: list[tuple[tuple[str, ...], Container]]) -> list[Family]:
    return [
        MEMORY_LIMIT.family((v, c.memory_limit_bytes) for v, c in named),
        CPU_PERIOD.family((v, c.cpu_period) for v, c in named if c.cpu_period),
        CPU_QUOTA.family((v, c.cpu_quota) for v, c in named if c.cpu_quota),
        CPU_SHARES.family((v, c.cpu_shares) for v, c in named),
    ]


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
