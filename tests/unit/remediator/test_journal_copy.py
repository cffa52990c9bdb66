"""`journal copy`: all of a journal, once, to an empty place that nobody works on."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from typing_extensions import override

from remediator.journal import SqliteDatabase, copying
from remediator.main import main
from tests.lived import a_life, check_that_it_holds, goes_on, known


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return tmp_path / "old" / "state.sqlite"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "state.sqlite"
    path.parent.mkdir()
    return path


def copied(source: Path | str, target: Path | str, *options: str) -> Result:
    words = ["journal", "copy", "--from", str(source), "--to", str(target), *options]
    return CliRunner().invoke(main, words)


def rows(path: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608


def test_all_of_it_is_there_and_the_work_goes_on(old: Path, new: Path) -> None:
    old.parent.mkdir()
    loop = a_life(old, SqliteDatabase)
    before = known(loop)
    assert before["open breakers"] == {"flush-keys", "flush-all"}
    loop.close()

    done = copied(old, new)

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "copied"
    for table in set(copying.TABLES) - {"pauses"}:
        assert rows(new, table) == rows(old, table)
    again = goes_on(loop, new, SqliteDatabase)
    assert known(again) == before
    check_that_it_holds(again)
    again.close()
    assert [path.name for path in new.parent.iterdir() if "copy" in path.name] == []


def test_every_table_is_copied(old: Path) -> None:
    old.parent.mkdir()
    SqliteDatabase(old).close()

    with closing(sqlite3.connect(old)) as file:
        found = file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()

    assert {name for (name,) in found} == set(copying.TABLES)


def test_a_dry_run_leaves_nothing_behind(old: Path, new: Path) -> None:
    old.parent.mkdir()
    a_life(old, SqliteDatabase).close()

    done = copied(old, new, "--dry-run")

    assert (done.exit_code, list(new.parent.iterdir())) == (0, [])
    counts = dict(line.split() for line in done.stdout.splitlines()[1:-1])
    assert counts["incidents"] == "3"
    assert done.stdout.splitlines()[-1] == "it would be copied; nothing was written"


def test_nothing_is_written_over_and_nobody_works_on_either_side(old: Path, new: Path) -> None:
    old.parent.mkdir()
    assert copied(old, new).stderr == f"{old} is not a file\n"
    loop = a_life(old, SqliteDatabase)
    refused = copied(old, new)
    assert (refused.exit_code, "another remediator works on this" in refused.stderr) == (1, True)
    loop.close()

    new.write_text("mine")
    refused = copied(old, new)
    assert (refused.exit_code, refused.stderr) == (1, f"{new} is there already; move it away\n")
    assert new.read_text() == "mine"


def test_what_cannot_be_read_back_is_not_committed(
    old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.parent.mkdir()
    a_life(old, SqliteDatabase).close()

    class Forgetful(copying._FileSide):
        @override
        def fill(
            self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
        ) -> None:
            super().fill(table, columns, list(rows)[:-1])

    monkeypatch.setattr(copying, "_FileSide", Forgetful)
    failed = copied(old, new)

    assert failed.exit_code == 2
    assert "rows became" in failed.stderr
    assert list(new.parent.iterdir()) == []


def test_a_password_belongs_into_a_file(old: Path) -> None:
    refused = copied(old, "postgresql://a:hunter2@h/db")

    assert refused.exit_code == 2
    assert "without a password" in refused.stderr
    assert "hunter2" not in refused.output
