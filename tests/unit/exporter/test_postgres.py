"""The pure parts of Postgres: versions, settings, signatures, what discovery chooses."""

import re
import struct

import pytest

from exporter.collectors.postgres.collector import chosen, short_version
from exporter.collectors.postgres.pgss import Signatures, wording
from exporter.collectors.postgres.queries import QUERIES
from exporter.families.postgres import statements
from exporter.families.postgres.settings import metric_of
from exporter.readings import Setting
from exporter.targets import POSTGRES_OPTIONAL_PARTS, POSTGRES_PARTS, Database

TARGET = Database("db", "h", 5432, "app", "app", databases=("*",), databases_except=("rds*",))

# pg_stat_statements' columns by version of the extension, as its own upgrade scripts say.
COMMON = {"userid", "dbid", "queryid", "calls", "rows", "shared_blks_hit", "shared_blks_read"}
COMMON |= {"shared_blks_dirtied", "shared_blks_written", "temp_blks_read", "temp_blks_written"}
PLAN = {"total_exec_time", "total_plan_time", "wal_bytes"}
BLK = {"blk_read_time", "blk_write_time"}
TEMP = {"temp_blk_read_time", "temp_blk_write_time"}
SHARED = {"shared_blk_read_time", "shared_blk_write_time"}
EXTENSION = {
    "1.7": COMMON | {"total_time"} | BLK,
    "1.8": COMMON | PLAN | BLK,  # PostgreSQL 13
    "1.9": COMMON | PLAN | BLK | {"toplevel"},  # 14
    "1.10": COMMON | PLAN | BLK | {"toplevel"} | TEMP,  # 15, 16
    "1.11": COMMON | PLAN | SHARED | {"toplevel"} | TEMP,  # 17
    "1.12": COMMON | PLAN | SHARED | {"toplevel"} | TEMP,  # 18
}


@pytest.mark.parametrize("version", EXTENSION)
def test_statements_ask_only_for_columns_that_the_extension_has(version: str) -> None:
    words = wording(version, "public")

    assert set(re.findall(r"\bs\.(\w+)", words.statements)) <= EXTENSION[version]
    assert (words.info is not None) == ("toplevel" in EXTENSION[version])
    assert ("wal_bytes" in words.columns) == ("wal_bytes" in EXTENSION[version])
    assert words.columns[:3] == ("calls", "seconds", "rows")
    assert set(words.columns) <= set(statements.COUNTERS)


def test_an_odd_schema_is_quoted() -> None:
    assert 'from "my ""%%schema".pg_stat_st' in wording("1.10", 'my "%schema').statements


# What moved between the versions, of the views that the queries read.
CHECKPOINTS = {"checkpoints_timed", "buffers_checkpoint", "buffers_backend", "checkpoint_sync_time"}
GATES = [
    ("stat_database", "session_time", 140000, None),
    ("stat_database", "parallel_workers_launched", 180000, None),
    ("stat_database", "checksum_failures", 130000, None),
    ("locks", "waitstart", 140000, None),
    *(("stat_bgwriter", column, 130000, 170000) for column in sorted(CHECKPOINTS)),
    ("stat_checkpointer", "num_timed", 170000, None),
    ("stat_progress_vacuum", "num_dead_item_ids", 170000, None),
    ("stat_io", "op_bytes", 160000, 180000),
    ("stat_io", "read_bytes", 160000, None),
]


@pytest.mark.parametrize(("part", "column", "since", "until"), GATES)
def test_columns_follow_the_servers_version(
    part: str, column: str, since: int, until: int | None
) -> None:
    query = next(query for query in QUERIES if query.part == part)
    for version in range(130000, 190000, 10000):
        sql = query.sql(version) or ""
        there = since <= version and (until is None or version < until)

        assert bool(re.search(rf"\b{column}\b", sql)) == there, version


def test_the_parts_that_can_be_switched_are_those_that_are_read() -> None:
    plain = {query.part for query in QUERIES if not query.optional}

    assert plain | {"settings", "stat_statements"} == set(POSTGRES_PARTS)
    assert {query.part for query in QUERIES if query.optional} == set(POSTGRES_OPTIONAL_PARTS)


@pytest.mark.parametrize(
    ("setting", "name", "number"),
    [
        (Setting("shared_buffers", "2", "8kB", "integer"), "shared_buffers_bytes", 16384),
        (Setting("max_wal_size", "1", "MB", "integer"), "max_wal_size_bytes", 1048576),
        (Setting("wal_segment_size", "1", "16MB", "integer"), "wal_segment_size_bytes", 1 << 24),
        (Setting("deadlock_timeout", "1500", "ms", "integer"), "deadlock_timeout_seconds", 1.5),
        (Setting("checkpoint_timeout", "2", "min", "integer"), "checkpoint_timeout_seconds", 120),
        (Setting("temp_file_limit", "-1", "kB", "integer"), "temp_file_limit_bytes", -1),
        (Setting("fsync", "off", "", "bool"), "fsync", 0),
        (Setting("seed.a-b", "0.5", "", "real"), "seed_a_b", 0.5),
    ],
)
def test_settings_are_in_base_units(setting: Setting, name: str, number: float) -> None:
    found = metric_of(setting)

    assert found is not None
    assert (found[0].name, found[1]) == (f"pg_settings_{name}", number)


@pytest.mark.parametrize(
    "setting",
    [Setting("odd", "5", "parsecs", "integer"), Setting("wrong", "disable", "", "integer")],
)
def test_a_setting_that_is_not_understood_is_absent(setting: Setting) -> None:
    assert metric_of(setting) is None


def test_signatures_are_a_binary_array_and_change_in_place() -> None:
    signatures = Signatures()
    assert bytes(signatures.array.data) == struct.pack(">iiI", 0, 0, 20)

    signatures.note([((1, "a"), 5), ((2, "b"), -6)])
    signatures.note([((1, "a"), 7)])

    assert bytes(signatures.array.data) == struct.pack(">iiIii iq iq", 1, 0, 20, 2, 1, 8, 7, 8, -6)


def test_nothing_new_leaves_no_signatures_empty() -> None:
    signatures = Signatures()
    signatures.note([])

    assert bytes(signatures.array.data) == struct.pack(">iiI", 0, 0, 20)


@pytest.mark.parametrize(
    ("name", "looked_into"), [("shop", True), ("rdsadmin", False), ("app", False)]
)
def test_discovery_takes_what_is_included_and_not_excluded(name: str, looked_into: bool) -> None:  # noqa: FBT001  a parameter of the table
    assert chosen(name, TARGET) is looked_into


def test_the_short_version_is_postgres_exporters() -> None:
    assert short_version(150008) == "15.8.0"
