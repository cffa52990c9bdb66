"""Which lines of a postgres log stop a restart: its own words on its files, not a client's."""

import pytest

from remediator.actions.database.check import _DAMAGE, _FULL

AT = "2026-01-05 12:00:00.123 UTC [42] "


@pytest.mark.parametrize(
    "words",
    [
        "ERROR:  invalid page in block 3 of relation base/16384/16397",
        "WARNING:  page verification failed, calculated checksum 1 but expected 2",
        'ERROR:  could not read block 9 in file "base/16384/16397": read only 0 of 8192 bytes',
        "PANIC:  could not locate a valid checkpoint record",
        "LOG:  invalid primary checkpoint record",
        'FATAL:  "/var/lib/postgresql/data" is not a valid data directory',
        "FATAL:  database files are incompatible with server",
        'FATAL:  could not open file "global/pg_filenode.map": No such file or directory',
    ],
)
def test_damaged_files_are_seen(words: str) -> None:
    assert _DAMAGE.search(AT + words)


@pytest.mark.parametrize(
    "words",
    [
        "STATEMENT:  SELECT 'invalid page in block'",
        'ERROR:  syntax error at or near "invalid page in block"',
        'FATAL:  password authentication failed for user "could not read block"',
        "LOG:  database system is ready to accept connections",
        'ERROR:  could not open file "/tmp/import.csv" for reading: No such file or directory',
    ],
)
def test_what_a_client_says_is_no_damage(words: str) -> None:
    assert not _DAMAGE.search(AT + words)


def test_a_full_disk_is_the_servers_word_at_the_end_of_a_line() -> None:
    line = 'PANIC:  could not write to file "pg_wal/xlogtemp.1": No space left on device'
    assert _FULL.search(f"{AT}{line}\n{AT}LOG:  shutting down\n")
    assert not _FULL.search(f"{AT}STATEMENT:  SELECT ': No space left on device'\n")
