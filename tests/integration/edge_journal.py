"""A real PostgreSQL that holds the journal of several remediators, and what may happen to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remediator.journal.session import SCHEMA, Address
from remediator.topology import Target
from tests.integration.edge_containers import docker, until
from tests.integration.edge_postgres import (
    DATA,
    Connection,
    address,
    answers,
    connected,
    postgres_server,
)


@dataclass(frozen=True)
class JournalServer:
    target: Target

    @property
    def url(self) -> str:
        """Without a database and without a password."""
        return f"postgresql://app@127.0.0.1:{address(self.target).port}"

    @property
    def password_file(self) -> Path:
        return Path(address(self.target).password_file or "")

    def address(self, name: str, database: str = "app") -> Address:
        return Address(f"{self.url}/{database}", name, self.password_file)

    def section(self, name: str) -> dict[str, str]:
        """What remediator.yml says of it."""
        place = {"url": f"{self.url}/app", "password_file": str(self.password_file)}
        return place | {"name": name, "lease": "5s"}

    def connected(self) -> Connection:
        return connected(self.target)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connected() as connection:
            connection.execute(f"SET search_path = {SCHEMA}")
            return connection.execute(query).fetchall()

    def empty(self) -> None:
        with self.connected() as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")

    def cut(self) -> int:
        """Every connection of a remediator; how many."""
        return len(
            self.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'stackmedic-remediator%'"
            )
        )

    # -- trouble, and its end ------------------------------------------------------------

    def stop(self) -> None:
        docker("stop", "-t", "20", str(self.target.container))

    def start(self) -> None:
        docker("start", str(self.target.container))
        until(lambda: answers(self.target), within_seconds=60, what="postgres answers again")

    def freeze(self) -> None:
        docker("pause", str(self.target.container))

    def thaw(self) -> None:
        docker("unpause", str(self.target.container))

    def refuse_writes(self) -> None:
        self._read_only("on")

    def take_writes(self) -> None:
        self._read_only("off")

    def fill_disk(self) -> None:
        """Of a disk of its own, to the last byte."""
        write = f"dd if=/dev/zero of={DATA}/filler bs=4k"
        said = docker("exec", str(self.target.container), "sh", "-c", f"{write} 2>&1; true")
        assert "No space left" in said

    def free_disk(self) -> None:
        docker("exec", str(self.target.container), "rm", f"{DATA}/filler")

    def _read_only(self, how: str) -> None:
        with self.connected() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {how}")
            connection.execute("SELECT pg_reload_conf()")


@contextmanager
def journal_server(
    secrets: Path, *settings: str, disk: str | None = None
) -> Iterator[JournalServer]:
    with postgres_server(secrets, *settings, disk=disk) as target:
        yield JournalServer(target)
