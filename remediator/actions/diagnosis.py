"""Says who uses up the machine before anything is restarted: containers, processes, tasks.

Rule: it only looks. What cannot be looked at is named in the evidence and fails nothing;
command lines and task names are others' words: redacted and cut.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

import redis
from pydantic import Field

from remediator.actions import engine
from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.evidence import redacted_command
from remediator.actions.redis import connected
from remediator.ports import Done, Effect, Ready, Refused, RemediationError, Transient
from remediator.prometheus import Sample, ask_once
from remediator.topology import Target

_LOOK_SECONDS = 5.0
_SHOWN = 120
_LARGEST_MESSAGE = 64 * 1024

# The container's rate over the time that four scrapes of a slow setup take.
_CPU = "topk({top}, sum by (name, service) (rate(container_cpu_usage_seconds_total[2m])))"
_MEMORY = "topk({top}, max by (name, service) (container_memory_working_set_bytes))"
_LIMITS = "max by (name) (container_spec_memory_limit_bytes > 0)"

Rows = list[dict[str, object]]


class FindHogParams(Params):
    """`top`: how many containers, processes and tasks are told."""

    top: Annotated[int, Field(ge=1, le=20)] = 5


@dataclass(frozen=True, slots=True)
class FindHog:
    """Tell the largest containers, the target's largest processes and the oldest tasks."""

    params: FindHogParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:  # noqa: ARG002 - looking harms nobody
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        looks: Mapping[str, Callable[[], Rows]] = {
            "containers_by_cpu": lambda: self._containers(_CPU, "cpu_cores", deadline),
            "containers_by_memory": lambda: self._by_memory(deadline),
            "processes": lambda: self._processes(target, deadline),
            "oldest_tasks": lambda: self._tasks(deadline),
        }
        evidence: dict[str, object] = {}
        missing: list[str] = []
        for name, look in looks.items():
            try:
                if deadline.is_over():
                    raise Transient("the step's time was over")
                evidence[name] = look()
            except RemediationError as error:
                missing.append(f"{name}: {error}")
        if missing:
            evidence["missing"] = missing
        return Done(_summary(evidence), evidence)

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002
        return Effect.NOT_DONE  # looking twice is better than not at all

    def _containers(self, expr: str, unit: str, deadline: Deadline) -> Rows:
        samples = self._asked(expr.format(top=self.params.top), deadline)
        ranked = sorted(samples, key=lambda sample: sample.value, reverse=True)
        return [{**_named(sample), unit: round(sample.value, 3)} for sample in ranked]

    def _by_memory(self, deadline: Deadline) -> Rows:
        rows = self._containers(_MEMORY, "bytes", deadline)
        limits = {s.labels.get("name", ""): s.value for s in self._asked(_LIMITS, deadline)}
        return [{**row, "limit_bytes": limits.get(str(row["container"]))} for row in rows]

    def _asked(self, expr: str, deadline: Deadline) -> tuple[Sample, ...]:
        seconds = deadline.at_most(_LOOK_SECONDS)
        if not self.clients.prometheus_url:
            raise Transient("there is no Prometheus to ask")
        return ask_once(self.clients.prometheus_url, expr, timeout_seconds=seconds)

    def _processes(self, target: Target, deadline: Deadline) -> Rows:
        name = engine.container_name(target)
        seconds = deadline.at_most(_LOOK_SECONDS)
        with engine.connect(self.clients.docker_url, timeout_seconds=seconds) as docker:
            processes = docker.top(name)
        top = self.params.top
        by_cpu = sorted(processes, key=lambda p: p.cpu_percent, reverse=True)[:top]
        by_memory = sorted(processes, key=lambda p: p.rss_bytes, reverse=True)[:top]
        return [
            {
                "pid": process.pid,
                "cpu_percent_since_start": process.cpu_percent,
                "rss_bytes": process.rss_bytes,
                "age_seconds": process.age_seconds,
                "command": redacted_command(process.command)[:_SHOWN],
            }
            for process in dict.fromkeys([*by_cpu, *by_memory])
        ]

    def _tasks(self, deadline: Deadline) -> Rows:
        rows: Rows = []
        for target in self.clients.topology.values():
            if target.redis is None or target.redis.broker_db is None or deadline.is_over():
                continue
            with connected(target, target.redis.broker_db) as client:
                rows += _unacked(client, self.params.top, self.clients.clock().timestamp())
        return rows


def _unacked(client: redis.Redis, top: int, now: float) -> Iterator[dict[str, object]]:
    """The tasks that a worker took longest ago and has not acknowledged."""
    oldest = cast(
        "list[tuple[bytes, float]]", client.zrange("unacked_index", 0, top - 1, withscores=True)
    )
    for tag, taken_at in oldest:
        task: dict[str, object] = {"age_seconds": round(max(0.0, now - taken_at))}
        size = client.hstrlen("unacked", tag.decode(errors="replace"))
        if 0 < size <= _LARGEST_MESSAGE:
            message = cast("bytes | None", client.hget("unacked", tag.decode(errors="replace")))
            task |= _task_of(message or b"")
        yield task


def _task_of(message: bytes) -> dict[str, object]:
    """The name and id in a message of Celery; nothing of one that has another form."""
    try:
        headers = json.loads(message)[0]["headers"]
        told = {key: headers[key] for key in ("task", "id") if isinstance(headers.get(key), str)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return {key: redacted_command(value)[:_SHOWN] for key, value in told.items()}


def _named(sample: Sample) -> dict[str, object]:
    return {
        "container": sample.labels.get("name", ""),
        "service": sample.labels.get("service", ""),
    }


def _summary(evidence: Mapping[str, object]) -> str:
    told = []
    for key, unit, words in (
        ("containers_by_cpu", "cpu_cores", "most CPU: {0} with {1:g} cores"),
        ("containers_by_memory", "bytes", "most memory: {0} with {1:.0f} bytes"),
        ("oldest_tasks", "age_seconds", "oldest task: {0}, taken {1:.0f} s ago"),
    ):
        rows = cast("Rows", evidence.get(key, []))
        if rows:
            name = rows[0].get("container") or rows[0].get("task") or "of unknown name"
            told.append(words.format(name, rows[0][unit]))
    gaps = len(cast("list[str]", evidence.get("missing", [])))
    if gaps:
        told.append(f"{gaps} of 4 looks gave nothing, see the evidence")
    return "; ".join(told) or "nothing stands out"
