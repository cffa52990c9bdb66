"""The few calls to the Docker engine that actions make, always by container name.

Rule: only paths that the filtering proxy in front of the engine allows; the client's
errors leave as Transient or Permanent, with the container's name.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import docker
import docker.errors
import requests
from docker.constants import DEFAULT_DOCKER_API_VERSION

from remediator.ports import Permanent, Transient
from remediator.topology import Target

_FRAME_HEADER_BYTES = 8

# As the proxy expects them, to the letter: it compares the request line as it is sent.
_TOP = "top?ps_args=-opid,pcpu,rss,etimes,args"
_DANGLING = "filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D"


@dataclass(frozen=True, slots=True)
class Container:
    """What the engine says about a container now. Times are aware UTC."""

    name: str
    status: str
    exit_code: int
    oom_killed: bool
    error: str
    started_at: datetime
    finished_at: datetime
    restart_count: int
    health: str | None  # None: it has no health check
    start_period_seconds: float


@dataclass(frozen=True, slots=True)
class ExecResult:
    """A finished command: its exit code, and stdout and stderr as they came."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a container. `cpu_percent` is of one core, over its whole life."""

    pid: int
    cpu_percent: float
    rss_bytes: int
    age_seconds: int
    command: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image without a name."""

    id: str
    size_bytes: int
    created_at: int


class Engine:
    """A connection to the engine, for one call of one action. Use `connect`."""

    def __init__(self, client: docker.APIClient) -> None:
        self._client = client

    def inspect(self, name: str) -> Container:
        with _translated(f"inspect container {name}"):
            return _container(name, self._client.inspect_container(name))

    def restart(self, name: str, *, stop_timeout_seconds: float, timeout_seconds: float) -> None:
        """Blocks until the container is started again, `timeout_seconds` at most."""
        stop_timeout = math.ceil(stop_timeout_seconds)
        # The library adds the stop timeout to its own.
        self._client.timeout = max(1, math.floor(timeout_seconds) - stop_timeout)
        with _translated(f"restart container {name}"):
            self._client.restart(name, timeout=stop_timeout)

    def last_log_lines(self, name: str, count: int) -> str:
        with _translated(f"read the logs of container {name}"):
            return self._client.logs(name, tail=count).decode(errors="replace")

    def top(self, name: str) -> tuple[Process, ...]:
        """The processes of a running container."""
        with _translated(f"list the processes of container {name}"):
            rows = self._json("GET", f"/containers/{name}/{_TOP}", self._client.timeout)
            return tuple(_process(row) for row in rows["Processes"])

    def dangling_images(self) -> tuple[Image, ...]:
        """Images without a name that no other image is built on; some may be in use."""
        with _translated("list the dangling images"):
            images = self._json("GET", f"/images/json?{_DANGLING}", self._client.timeout)
            return tuple(Image(raw["Id"], raw["Size"], raw["Created"]) for raw in images)

    def prune_dangling_images(self, *, timeout_seconds: float) -> tuple[int, int]:
        """Delete those that no container uses. How many went, and the bytes they held."""
        with _translated("delete the dangling images"):
            said = self._json("POST", f"/images/prune?{_DANGLING}", timeout_seconds)
            deleted = [item for item in said["ImagesDeleted"] or () if "Deleted" in item]
            return len(deleted), said["SpaceReclaimed"]

    def _json(self, method: str, path: str, timeout_seconds: float) -> Any:  # noqa: ANN401
        # Not the library's own calls: they write the query in other letters than the proxy's.
        url = f"{self._client.base_url}/v{self._client.api_version}{path}"
        response = self._client.request(method, url, timeout=timeout_seconds)
        if not response.ok:
            docker.errors.create_api_error_from_http_exception(
                requests.HTTPError(response=response)
            )
        return response.json()

    def execute(self, name: str, command: Sequence[str]) -> ExecResult:
        """Run `command` (an argument list, never a shell line) in the container."""
        with _translated(f"run {' '.join(command)} in container {name}"):
            exec_id = self._client.exec_create(name, list(command))["Id"]
            output = self._start(exec_id)
            exit_code = self._client.exec_inspect(exec_id)["ExitCode"]
        if exit_code is None:
            raise Transient(f"{' '.join(command)} in container {name} has not ended; try again")
        return ExecResult(exit_code, output)

    def _start(self, exec_id: str) -> str:
        # Not the library's exec_start: it asks to upgrade the connection and reads the raw
        # socket, which breaks behind an HTTP proxy. Without the upgrade it is a plain body.
        response = self._client.post(
            f"{self._client.base_url}/v{self._client.api_version}/exec/{exec_id}/start",
            json={"Detach": False, "Tty": False},
            timeout=self._client.timeout,
        )
        if not response.ok:
            docker.errors.create_api_error_from_http_exception(
                requests.HTTPError(response=response)
            )
        return _unframed(response.content).decode(errors="replace").strip()


@contextmanager
def connect(docker_url: str, *, timeout_seconds: float) -> Iterator[Engine]:
    """An Engine whose single calls take `timeout_seconds` at most (rounded up to a second)."""
    seconds = math.ceil(timeout_seconds)
    with _translated(f"reach the Docker engine at {docker_url}"):
        with closing(_client(docker_url, DEFAULT_DOCKER_API_VERSION, seconds)) as first:
            version = first.version(api_version=False)["ApiVersion"]
        client = _client(docker_url, version, seconds)
    with closing(client):
        yield Engine(client)


def _client(docker_url: str, version: str, timeout_seconds: int) -> docker.APIClient:
    # Never version="auto": that would ask the engine before the proxy settings of the
    # environment are out of the way.
    client = docker.APIClient(base_url=docker_url, version=version, timeout=timeout_seconds)
    client.trust_env = False
    return client


def container_name(target: Target) -> str:
    if target.container is None:
        raise Permanent(f"{target.key} has no container; give it one in the topology")
    return target.container


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except docker.errors.NotFound as error:
        raise Permanent(
            f"cannot {what}: {error.explanation}. If the container is gone, create it again "
            "with `docker compose up -d` in its project"
        ) from error
    except docker.errors.APIError as error:
        raise _refusal(what, error) from error
    except requests.Timeout as error:
        raise Transient(
            f"cannot {what}: the engine did not answer in time; it may still be doing it"
        ) from error
    except (requests.RequestException, docker.errors.DockerException) as error:
        raise Transient(f"cannot {what}: {error}; see that the engine and its proxy run") from error
    except (KeyError, TypeError, ValueError) as error:
        raise Permanent(
            f"cannot {what}: an answer that is not the engine's ({error!r}); "
            "see that docker.url is right"
        ) from error


def _refusal(what: str, error: docker.errors.APIError) -> Transient | Permanent:
    if error.status_code == requests.codes.forbidden:
        return Permanent(f"cannot {what}: the engine's proxy forbids it; allow it there")
    if error.is_server_error():
        return Transient(f"cannot {what}: the engine says: {error.explanation}")
    return Permanent(f"cannot {what}: the engine refuses: {error.explanation}")


def _container(name: str, raw: dict[str, Any]) -> Container:
    state = raw["State"]
    health_check = raw["Config"].get("Healthcheck") or {}
    return Container(
        name=name,
        status=state["Status"],
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        error=state["Error"],
        started_at=datetime.fromisoformat(state["StartedAt"]),
        finished_at=datetime.fromisoformat(state["FinishedAt"]),
        restart_count=raw["RestartCount"],
        health=(state.get("Health") or {}).get("Status"),
        start_period_seconds=health_check.get("StartPeriod", 0) / 1e9,
    )


def _process(row: Sequence[str]) -> Process:
    pid, cpu, rss, age, command = row
    return Process(int(pid), float(cpu), int(rss) * 1024, int(age), command)


def _unframed(stream: bytes) -> bytes:
    """The payload of the engine's stream: per frame 4 bytes of kind, 4 of length, the bytes."""
    payload = bytearray()
    position = 0
    while position + _FRAME_HEADER_BYTES <= len(stream):
        start = position + _FRAME_HEADER_BYTES
        end = start + int.from_bytes(stream[position + 4 : start], "big")
        payload += stream[start:end]
        position = end
    return bytes(payload)
