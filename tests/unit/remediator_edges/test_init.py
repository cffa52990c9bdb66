"""`init`: what runs becomes two files that both programs take, and touches nothing."""

import json
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from typing_extensions import override

from exporter.config import load
from remediator.actions import ACTIONS
from remediator.config import load_config
from remediator.main import main
from remediator.policy import Mode
from tests.http_fakes import served

ID = "f" * 64


def container(project: str, service: str, image: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of JSON
    """As GET /containers/<id>/json tells it, what is read of it."""
    name = f"{project}-{service}-1"
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": service}
    config = {"Image": image, "Labels": labels, "Env": [], "ExposedPorts": {}, "Healthcheck": None}
    networks = {"n": {"Aliases": changes.pop("aliases", [service, name, ID[:12]])}}
    return {
        "Id": name,
        "Name": f"/{name}",
        "Config": config | changes,
        "NetworkSettings": {"Networks": networks},
    }


STACK = [
    container(
        "shop-core",
        "db",
        "postgres:15-alpine",
        Env=["POSTGRES_USER=shop", "POSTGRES_DB=orders", "POSTGRES_PASSWORD_FILE=/run/x", "ODD"],
    ),
    container("shop-core", "cache", "redis:7"),
    container(
        "shop-core",
        "nginx",
        "nginx:1.25",
        Healthcheck={"Test": ["CMD-SHELL", "wget -q http://127.0.0.1/healthz || exit 1"]},
    ),
    *(
        container(
            f"shop-{colour}",
            "backend",
            "shop/app",
            aliases=["backend", f"{colour}-backend"],
            ExposedPorts={"8000/tcp": {}},
            Healthcheck={"Test": ["CMD", "curl", "http://localhost:8000/health/ready"]},
        )
        for colour in ("blue", "green")
    ),
    container("shop-blue", "worker", "shop/app", ExposedPorts={"8000/tcp": {}}),
    container("shop-monitoring", "prometheus", "prom/prometheus"),
    {"Id": "alone", "Name": "/alone", "Config": {"Labels": {}}},
    container("shop-core", "we ird", "x"),
]


class Engine:
    """Answers two kinds of GET; remembers what it was asked."""

    def __init__(self, containers: list[dict[str, Any]]) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers: Mapping[str, object] = {
            "/containers/json": [
                {"Id": one["Id"], "Labels": one["Config"]["Labels"]} for one in containers
            ],
            **{f"/containers/{one['Id']}/json": one for one in containers},
        }

    def handler(engine: "Engine") -> type[BaseHTTPRequestHandler]:  # noqa: N805 - two selves
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                engine.asked.append((self.command, self.path))
                found = engine.answers.get(self.path.partition("?")[0].replace("%20", " "))
                body = json.dumps(found).encode()
                self.send_response(200 if found is not None else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, *arguments: object) -> None: ...

        return Handler


@pytest.fixture
def url() -> Iterator[str]:
    with served(Engine(STACK).handler()) as at:
        yield at.replace("http", "tcp")


def init(folder: Path, url: str, *options: str, answers: str | None = None) -> Result:
    command = ["init", f"--engine={url}", f"--folder={folder}", *options]
    return CliRunner().invoke(main, command, input=answers)


def test_both_programs_take_what_was_written_and_check_finds_nothing(
    tmp_path: Path, url: str
) -> None:
    result = init(tmp_path, url, "--yes")

    assert result.exit_code == 0, result.output
    exporter = load(tmp_path / "exporter.yml")
    config = load_config(tmp_path / "remediator.yml", ACTIONS)
    assert config.policy.mode is Mode.OBSERVE
    assert set(config.policy.topology) == set(exporter.services)
    secrets = tmp_path / "secrets"
    check = [f"--config.file={tmp_path / 'remediator.yml'}", "check", f"--secrets={secrets}"]
    checked = CliRunner().invoke(main, check)
    assert (checked.exit_code, checked.stdout) == (0, "")


def test_services_databases_endpoints_and_colours_are_found(tmp_path: Path, url: str) -> None:
    init(tmp_path, url, "--yes", "--live-url=http://nginx/live")

    exporter = yaml.safe_load((tmp_path / "exporter.yml").read_text())
    remediator = yaml.safe_load((tmp_path / "remediator.yml").read_text())
    assert set(exporter["services"]) == {
        *("db", "cache", "nginx", "backend-blue", "backend-green", "worker")
    }
    assert exporter["postgres"]["db"] == {
        "host": "db",
        "port": 5432,
        "database": "orders",
        "user": "shop",
        "password_file": "/run/secrets/postgres_password",
    }
    assert exporter["redis"] == {"cache": {"host": "cache", "port": 6379}}
    assert exporter["probes"]["nginx"]["url"] == "http://nginx:80/healthz"
    blue = exporter["probes"]["backend-blue"]
    assert (blue["url"], blue["colour"]) == ("http://blue-backend:8000/health/ready", "blue")
    assert "worker" not in exporter["probes"]
    assert exporter["colours"] == {
        "backend": {"url": "http://nginx/live", "one_of": ["blue", "green"]}
    }
    assert remediator["groups"] == {
        "backend": {"members": ["backend-blue", "backend-green"], "min_healthy": 1}
    }
    assert remediator["topology"]["backend-blue"]["depends_on"] == ["cache", "db"]
    assert remediator["topology"]["cache"]["tier"] == "data"


def test_nothing_is_written_over_without_force(tmp_path: Path, url: str) -> None:
    mine = tmp_path / "exporter.yml"
    mine.write_text("mine")

    result = init(tmp_path, url, "--yes")

    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["exporter.yml"]
    assert mine.read_text() == "mine"
    assert init(tmp_path, url, "--yes", "--force").exit_code == 0
    token = (tmp_path / "secrets" / "remediator_token").read_text()
    assert init(tmp_path, url, "--yes", "--force").exit_code == 0
    assert (tmp_path / "secrets" / "remediator_token").read_text() == token


def test_the_engine_is_only_read(tmp_path: Path) -> None:
    engine = Engine(STACK)
    with served(engine.handler()) as at:
        init(tmp_path, at.replace("http", "tcp"), "--yes")

    assert {method for method, _ in engine.asked} == {"GET"}
    assert all(path.partition("?")[0].endswith("/json") for _, path in engine.asked)


def test_answers_of_a_person_choose_the_projects_and_the_live_url(tmp_path: Path, url: str) -> None:
    result = init(tmp_path, url, answers="shop-blue shop-green\nhttp://nginx/live\n")

    assert result.exit_code == 0, result.output
    exporter = yaml.safe_load((tmp_path / "exporter.yml").read_text())
    assert set(exporter["services"]) == {"backend-blue", "backend-green", "worker"}
    assert "postgres" not in exporter
    assert exporter["colours"]["backend"]["url"] == "http://nginx/live"


def test_an_engine_that_does_not_answer_and_one_without_projects_are_status_2(
    tmp_path: Path,
) -> None:
    assert init(tmp_path, "tcp://127.0.0.1:9", "--yes").exit_code == 2
    with served(Engine([]).handler()) as at:
        result = init(tmp_path, at.replace("http", "tcp"), "--yes")
    assert result.exit_code == 2
    assert "no container" in result.stderr
    assert list(tmp_path.iterdir()) == []
