"""The file of the maintenance page: it comes back as it was written, and nothing else passes."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator import maintenance
from remediator.maintenance import Maintenance, NotOurs
from remediator.metrics import MaintenanceGauges
from remediator.topology import MaintenancePage, Target

UNTIL = datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(reason=st.text(max_size=200), minutes=st.integers(0, 10_000))
def test_it_is_read_back_and_is_one_comment_and_one_line(reason: str, minutes: int) -> None:
    told = Maintenance(reason, UNTIL + timedelta(minutes=minutes))
    content = maintenance.written(told)
    first, second, rest = content.decode("ascii").split("\n")
    assert first.startswith("# ")
    assert (second, rest) == ("set $maintenance on;", "")
    assert maintenance._parsed(Path("x"), content) == told


GOOD = maintenance.written(Maintenance("a restore", UNTIL))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"set $maintenance on;\n",
        b"# by hand\nset $maintenance on;\n",
        GOOD + b"return 200;\n",
        GOOD.replace(b"+00:00", b""),
        GOOD.replace(b"2026", b"soon"),
        GOOD.replace(b"stackmedic", b"somebody"),
        GOOD.replace(b'"until"', b'"till"'),
        b"# stackmedic maintenance []\nset $maintenance on;\n",
        b"# stackmedic maintenance " + b"[" * 3000 + b"\nset $maintenance on;\n",
        b"\xff\xfe\n",
        b"x" * 10_000,
    ],
    ids=lambda content: content[:30],
)
def test_a_file_of_somebody_else_is_not_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "maintenance.conf").write_bytes(content)
    with pytest.raises(NotOurs):
        maintenance.read(tmp_path / "maintenance.conf")


def test_no_file_is_off_and_a_link_or_a_pipe_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "maintenance.conf"
    assert maintenance.read(path) is None
    path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        maintenance.read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotOurs):
        maintenance.read(path)


def test_the_metric_tells_the_end_0_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "maintenance.conf"
    page = MaintenancePage(str(path), "nginx", "http://127.0.0.1:9/")
    gauges = MaintenanceGauges(
        {"nginx": Target("nginx", "edge", maintenance=page), "db": Target("db", "data")}
    )

    def samples() -> list[tuple[str, float]]:
        return [(s.labels["service"], s.value) for m in gauges.collect() for s in m.samples]

    assert samples() == [("nginx", 0)]
    path.write_bytes(GOOD)
    assert samples() == [("nginx", UNTIL.timestamp())]
    path.write_bytes(b"by hand")
    assert samples() == []
