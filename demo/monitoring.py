"""The monitoring stack of one copy: docker-compose.monitoring.yml with rendered configuration.

Rule: nothing here knows what is watched; names and addresses come from World.
"""

import gzip
import io
import os
import secrets as random
import shutil
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.render import REPO, render
from demo.world import World
from remediator.web.console.accounts import hashed

# A dump as pg_dump writes it. The title is random, so that what is packed is still a backup's
# smallest size.
_DUMP = b"""CREATE TABLE public.lessons (title text);
COPY public.lessons (title) FROM stdin;
%s
\\.
-- PostgreSQL database dump complete
"""
CONSOLE_ACCOUNT = "demo"
REMEDIATOR_USER = 10001  # of the image; it writes the live colour


def up(world: World, compose: Sequence[str], images: Mapping[str, str], data_root: Path) -> None:
    """Render the configuration, make the secrets, start everything and wait until healthy."""
    if world.config.exists():
        shutil.rmtree(world.config)
    render(world.stack, world.config)
    _make_secrets(world)
    _make_accounts(world)
    _make_files(world)
    for folder in (world.live, world.backups / "verification"):
        os.chown(folder, REMEDIATOR_USER, -1)
    profiles = ["--profile", "grafana"] if "GRAFANA_IMAGE" in images else []
    _compose(
        world,
        compose,
        [*profiles, "up", "--detach", "--wait", "--quiet-pull"],
        {**images, "DOCKER_DATA_ROOT": str(data_root)},
    )


def down(world: World, compose: Sequence[str]) -> None:
    """Remove the containers, volumes and networks of this copy's monitoring."""
    _compose(world, compose, ["--profile", "grafana", "down", "--volumes", "--timeout", "5"], {})


def _make_secrets(world: World) -> None:
    world.secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, value in {
        "remediator_token": random.token_urlsafe(32),
        "slack_webhook_url": "http://pager:8080/incidents",
        "slack_deployments_webhook_url": "http://pager:8080/deployments",
        "pager_token": random.token_urlsafe(32),
        "smtp_password": random.token_urlsafe(32),
        "grafana_admin_password": random.token_urlsafe(16),
    }.items():
        path = world.secrets / name
        if not path.exists():
            path.write_text(value + "\n")
            path.chmod(0o444)  # read by containers under other users; the folder above is root's


def _make_accounts(world: World) -> None:
    """One account of the console; its password beside the other secrets, to be shown."""
    folder = world.secrets / "console"
    folder.mkdir(exist_ok=True)
    password, accounts = world.secrets / "console_password", folder / "accounts.yml"
    if accounts.exists():
        return
    password.write_text(random.token_urlsafe(12) + "\n")
    hash_ = hashed(password.read_text().strip())
    accounts.write_text(f"{CONSOLE_ACCOUNT}: {{role: operator, password: '{hash_}'}}\n")
    accounts.chmod(0o444)


def _make_files(world: World) -> None:
    """A certificate, and a backup of last night that has been verified."""
    for folder in (world.ssl, world.renewed, world.logs, world.backups / "verification"):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPO / "demo" / "stack" / "nginx" / "cert.pem", world.ssl / "cert.pem")
    backup = world.backups / "production.tar.gz"
    _pack(backup, "nightly/dump.sql.gz", gzip.compress(_DUMP % random.token_hex(4096).encode()))
    last_night = time.time() - 6 * 3600
    os.utime(backup, (last_night, last_night))
    (world.backups / "verification" / "verified").touch()


def _pack(archive: Path, name: str, content: bytes) -> None:
    with tarfile.open(archive, "w:gz") as file:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))


def _compose(
    world: World, compose: Sequence[str], command: Sequence[str], variables: Mapping[str, str]
) -> None:
    ports = world.ports
    environment = {
        **os.environ,
        "COMPOSE_IGNORE_ORPHANS": "true",
        "STACK": world.stack,
        "LIVE_DIR": str(world.live),
        "SSL_DIR": str(world.ssl),
        "RENEWED_DIR": str(world.renewed),
        "LOG_DIR": str(world.logs),
        "BACKUP_DIR": str(world.backups),
        "VERIFICATION_DIR": str(world.backups / "verification"),
        "SECRETS_DIR": str(world.secrets),
        "CONSOLE_DIR": str(world.secrets / "console"),
        "EXPORTER_CONFIG": str(world.config / "exporter.yml"),
        "REMEDIATOR_CONFIG": str(world.config / "remediator.yml"),
        "PROMETHEUS_CONFIG": str(world.config / "prometheus.yml"),
        "RULES_DIR": str(world.config / "rules"),
        "ALERTMANAGER_CONFIG": str(world.config / "alertmanager.yml"),
        "ALERTMANAGER_URL": world.url(ports.alertmanager, ""),
        "ONCALL_CONFIG": str(world.config / "oncall.yml"),
        "ENGINE_RO_CONF": str(world.config / "engine-ro.conf"),
        "ENGINE_RW_CONF": str(world.config / "engine-rw.conf"),
        "EXPORTER_PORT": str(ports.exporter),
        "PROMETHEUS_PORT": str(ports.prometheus),
        "ALERTMANAGER_PORT": str(ports.alertmanager),
        "REMEDIATOR_PORT": str(ports.remediator),
        "GRAFANA_PORT": str(ports.grafana),
        "PAGER_PORT": str(ports.pager),
        "PAGER_SCRIPT": str(REPO / "demo" / "pager" / "pager.py"),
        "HEALTH_INTERVAL": "2s",
        **variables,
    }
    project = ["--project-name", f"{world.stack}-monitoring"]
    files = [REPO / "docker-compose.monitoring.yml", REPO / "demo" / "pager" / "compose.yml"]
    done = subprocess.run(
        [*compose, *project, *(f"--file={file}" for file in files), *command],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"docker compose {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
