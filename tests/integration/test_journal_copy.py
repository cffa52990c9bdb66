"""`journal copy` between a file and a real PostgreSQL, there and back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from remediator.journal import SqliteDatabase
from remediator.journal.postgres import PostgresDatabase
from remediator.journal.session import SCHEMA
from remediator.main import main
from tests.integration.edge_containers import needs_docker
from tests.integration.edge_journal import JournalServer, journal_server
from tests.lived import a_life, check_that_it_holds, goes_on, known

pytestmark = [pytest.mark.integration, needs_docker]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JournalServer]:
    with journal_server(tmp_path_factory.mktemp("journal")) as server:
        yield server


@pytest.fixture
def server(shared: JournalServer) -> JournalServer:
    shared.empty()
    return shared


class Copier:
    def __init__(self, server: JournalServer, folder: Path) -> None:
        self.server = server
        self.url = server.address("a").url
        self.old, self.back = folder / "old" / "state", folder / "back" / "state"
        for path in (self.old, self.back):
            path.parent.mkdir()

    def connect(self, path: Path) -> PostgresDatabase:
        return PostgresDatabase(self.server.address(path.parent.name))

    def copy(self, source: Path | str, target: Path | str, *options: str) -> Result:
        places = ["--from", str(source), "--to", str(target)]
        word = ["--password-file", str(self.server.password_file)]
        return CliRunner().invoke(main, ["journal", "copy", *places, *word, *options])

    @property
    def has_schema(self) -> bool:
        with self.server.connected() as connection:
            found = connection.execute("SELECT to_regnamespace(%s)", [SCHEMA]).fetchone()
        return found != (None,)


@pytest.fixture
def copier(server: JournalServer, tmp_path: Path) -> Copier:
    return Copier(server, tmp_path)


def test_a_journal_goes_on_on_the_server_and_back_in_a_file(copier: Copier) -> None:
    loop = a_life(copier.old, SqliteDatabase)
    before = known(loop)
    loop.close()

    done = copier.copy(copier.old, copier.url)

    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, "copied"), done.output
    shared = goes_on(loop, copier.old, copier.connect, name="a")
    assert known(shared) == before
    told = shared.lease.number, shared.kill_switch.name
    assert told == (1, "a")
    shared.close()

    back = copier.copy(copier.url, copier.back)
    assert back.exit_code == 0, back.output
    again = goes_on(loop, copier.back, SqliteDatabase)
    assert known(again) == before
    check_that_it_holds(again)
    again.close()


def test_on_the_server_the_work_goes_on_with_the_next_numbers(copier: Copier) -> None:
    loop = a_life(copier.old, SqliteDatabase)
    last = max(incident["id"] for incident in loop.incidents())
    loop.close()
    copier.old.with_name("paused").unlink()  # no file stands beside a shared journal
    assert copier.copy(copier.old, copier.url).exit_code == 0

    shared = goes_on(loop, copier.back, copier.connect, name="a")
    check_that_it_holds(shared)
    assert [incident["id"] for incident in shared.incidents()][-1] == last + 1
    shared.close()


def test_a_dry_run_leaves_the_server_as_it_was(copier: Copier) -> None:
    a_life(copier.old, SqliteDatabase).close()

    tried = copier.copy(copier.old, copier.url, "--dry-run")

    assert (tried.exit_code, copier.has_schema) == (0, False), tried.output


def test_a_journal_that_is_worked_on_or_not_empty_is_refused(copier: Copier) -> None:
    a_life(copier.old, SqliteDatabase).close()
    nothing = copier.copy(copier.url, copier.back)
    assert (nothing.exit_code, "holds no journal" in nothing.stderr) == (1, True)

    at_work = copier.connect(copier.back)
    for source, target in ((copier.old, copier.url), (copier.url, copier.back)):
        refused = copier.copy(source, target)
        assert (refused.exit_code, "stop all first" in refused.stderr) == (1, True)
    at_work.close()

    assert copier.copy(copier.old, copier.url).exit_code == 0
    refused = copier.copy(copier.old, copier.url)
    assert refused.exit_code == 1
    assert "holds a journal already (" in refused.stderr
    assert "incidents: 3 rows" in refused.stderr


def test_a_copy_that_fails_on_the_way_leaves_nothing(copier: Copier) -> None:
    a_life(copier.old, SqliteDatabase).close()
    copier.connect(copier.back).close()
    with copier.server.connected() as connection:
        connection.execute(f"ALTER TABLE {SCHEMA}.deploy_locks ADD CHECK (false)")

    failed = copier.copy(copier.old, copier.url)

    assert failed.exit_code == 2
    assert "the journal cannot be copied: " in failed.stderr
    assert "not a secret" not in failed.output
    assert copier.server.rows("SELECT count(*) FROM incidents") == [(0,)]
