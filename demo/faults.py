"""Break a running stack, one fault after another, and measure how each is mended.

Rule: the times come from the remediator's journal and from Prometheus; that it is mended is
looked at here, from outside, without believing the remediator.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import docker
import httpx
import redis

from demo.stack import deploy_colour, live_colour, switch_colour
from demo.world import World

LIMIT_SECONDS = 90.0

MEMORY_FULL = 0.92


class NotMendedError(Exception):
    """A fault was not mended in time. The message holds what the remediator recorded."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break the stack. `proof` is true when users are served again."""

    name: str
    title: str
    alert: str
    target: str
    strike: Callable[[World], None]
    proof: Callable[[World], bool]
    prepare: Callable[[World], None] = lambda _: None
    recover: Callable[[World], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Mended:
    """Seconds since the fault at which each station of the loop was passed."""

    fault: str
    alert: str
    runbook: str
    fired: float
    webhook: float
    acted: float
    done: float
    verified: float
    summary: str


def until(condition: Callable[[], bool], what: str, limit: float = LIMIT_SECONDS) -> None:
    """Wait for a condition. Errors: NotMendedError after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise NotMendedError(f"waited {limit:.0f} s in vain: {what}")
        time.sleep(0.1)


def incidents(world: World) -> list[dict[str, Any]]:
    """The remediator's incidents, newest first."""
    token = (world.secrets / "remediator_token").read_text().strip()
    answer = httpx.get(
        world.url(world.ports.remediator, "/api/v1/incidents"),
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=10,
    )
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["incidents"]
    return found


def asked(world: World, query: str) -> list[dict[str, Any]]:
    """Prometheus' instant answer to a query."""
    answer = httpx.get(
        world.url(world.ports.prometheus, "/api/v1/query"),
        params={"query": query},
        trust_env=False,
        timeout=10,
    )
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def watching(world: World) -> bool:
    """Prometheus scrapes both programs, and has evaluated its rules over what they say."""
    up = asked(world, 'up{job=~"stackmedic-.+"} == 1 and on () ALERTS{alertname="Watchdog"}')
    return {series["metric"]["job"] for series in up} == {
        "stackmedic-exporter",
        "stackmedic-remediator",
    }


def quiet(world: World) -> bool:
    """Nothing that can be mended is firing, and every incident is over."""
    return not unrest(world)


def unrest(world: World) -> list[str]:
    """What there is to mend now, and what is being mended."""
    mendable = asked(world, 'ALERTS{remediation!="",remediation!="manual"}')
    told = [series["metric"] for series in mendable]
    alerts = [f"{m['alertname']} on {m.get('service')} is {m['alertstate']}" for m in told]
    return alerts + [
        f"incident {i['id']} on {i['target']} is {i['state']}"
        for i in incidents(world)
        if not _is_over(i)
    ]


def _is_over(incident: Mapping[str, Any]) -> bool:
    """One that a human was called for is left open for them a while after its end."""
    ended = all(alert["status"] == "resolved" for alert in incident["alerts"])
    return incident["state"] == "closed" or bool(incident["escalated"] and ended)


def serving(world: World) -> bool:
    """A user's request, through nginx, backend, cache and database, is answered."""
    try:
        url = world.url(world.ports.site, "/api/lessons")
        return httpx.get(url, trust_env=False, timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def run_fault(world: World, fault: Fault) -> Mended:
    """Strike, wait until the remediator says verified and the proof holds, read the times."""
    fault.prepare(world)
    try:
        until(lambda: quiet(world), "the stack to be quiet before the next fault")
    except NotMendedError as error:
        raise NotMendedError(f"{error}; {', '.join(unrest(world))}") from None
    before = {incident["id"] for incident in incidents(world)}
    struck = datetime.now(UTC)
    fault.strike(world)
    found: list[Mended] = []

    def mended() -> bool:
        found[:] = [
            m
            for incident in incidents(world)
            if incident["id"] not in before and incident["target"] == fault.target
            for m in _mended(fault, incident, struck)
        ]
        return bool(found)

    try:
        until(mended, f"{fault.name}: a verified run on {fault.target}")
        until(lambda: fault.proof(world), f"{fault.name}: the proof from outside", 20)
    except NotMendedError as error:
        news = [i for i in incidents(world) if i["id"] not in before]
        raise NotMendedError(f"{error}\n{json.dumps(news, indent=2)}") from None
    fault.recover(world)
    return found[0]


def _mended(fault: Fault, incident: dict[str, Any], struck: datetime) -> list[Mended]:
    alerts = [a for a in incident["alerts"] if a["name"] == fault.alert]
    runs = [r for r in incident["runs"] if r["state"] == "effective"]
    if not alerts or not runs:
        return []

    def after(moment: str) -> float:
        return (datetime.fromisoformat(moment) - struck).total_seconds()

    run, step = runs[-1], runs[-1]["steps"][-1]
    first = min(alerts, key=lambda alert: alert["received_at"])
    return [
        Mended(
            fault=fault.name,
            alert=fault.alert,
            runbook=run["runbook"],
            fired=after(first["starts_at"]),
            webhook=after(first["received_at"]),
            acted=after(run["steps"][0]["intent_at"]),
            done=after(step["outcome_at"]),
            verified=after(run["verified_at"]),
            summary="; ".join(step["summary"] for step in run["steps"]),
        )
    ]


# -- the four faults -------------------------------------------------------------------------


def _engine(world: World, key: str) -> Any:  # noqa: ANN401 - the SDK is not typed
    return docker.from_env().containers.get(world.container(key))


def _kill_backend(world: World) -> None:
    _engine(world, f"backend-{live_colour(world)}").kill()


def _redis(world: World, db: int) -> "redis.Redis":
    networks = _engine(world, "redis").attrs["NetworkSettings"]["Networks"]
    return redis.Redis(host=networks[world.network]["IPAddress"], db=db, socket_timeout=10)


def _fill_redis(world: World) -> None:
    client = _redis(world, db=0)
    client.set("lesson:kept", "must survive the flush")
    value, number = b"x" * 8192, 0
    while _memory_ratio(client) < MEMORY_FULL:
        with client.pipeline(transaction=False) as pipe:
            for _ in range(50):
                pipe.set(f"temp:{number}", value)
                number += 1
            pipe.execute()
    client.close()


def _memory_ratio(client: "redis.Redis") -> float:
    info: Any = client.info("memory")
    return float(info["used_memory"]) / float(info["maxmemory"])


def _redis_clean(world: World) -> bool:
    client = _redis(world, db=0)
    try:
        left = next(iter(client.scan_iter("temp:*", count=1000)), None)
        return left is None and client.get("lesson:kept") is not None
    finally:
        client.close()


def _release_badly(world: World) -> None:
    switch_colour(world, "green")


def _postgres_back(world: World) -> bool:
    return bool(_engine(world, "postgres").status == "running") and serving(world)


FAULTS = (
    Fault(
        name="backend killed",
        title="the live backend container is killed",
        alert="ServiceDown",
        target="backend-blue",
        strike=_kill_backend,
        proof=serving,
    ),
    Fault(
        name="redis full",
        title="temp:* keys fill the memory of Redis",
        alert="RedisMemoryHigh",
        target="redis",
        strike=_fill_redis,
        proof=_redis_clean,
    ),
    Fault(
        name="bad release",
        title="a release that passes its health check and fails its users goes live in green",
        alert="LiveColourUnhealthy",
        target="backend",
        prepare=lambda world: deploy_colour(world, "green", release="bad-api"),
        strike=_release_badly,
        proof=lambda world: live_colour(world) == "blue" and serving(world),
        recover=lambda world: deploy_colour(world, "green", release="good"),
    ),
    Fault(
        name="postgres stopped",
        title="Postgres is stopped",
        alert="PostgresDown",
        target="postgres",
        strike=lambda world: _engine(world, "postgres").stop(timeout=20),
        proof=_postgres_back,
    ),
)


def record(world: World, results: list[Mended]) -> None:
    """Keep the measured run as JSON beside the copy's other files."""
    path = world.folder / "last-run.json"
    path.write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
