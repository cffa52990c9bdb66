"""What panels ask for that only trouble answers, asked of a Prometheus that has seen all of it."""

import subprocess
import time
from collections.abc import Iterator, Mapping

import pytest

from tests.boards import BOARDS, IN_TROUBLE, Asker, Board, queries, wrong_with
from tests.integration.edge_monitoring import RULES, a_prometheus, program, text_exporter

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))

MINUTES = 60
STEP = 15
SERVICE = 'service="backend-blue"'
MANUAL = f'alertname="ErrorBurst",{SERVICE},severity="P1",remediation="manual"'
UNHEARD = 'alertname="P0UnacknowledgedLead",service="nginx",severity="P0",remediation="manual"'
# A series, and by how much it grows in each step from a first value; 0 for one that stays.
TROUBLE: Mapping[str, tuple[float, float]] = {
    f'ALERTS{{alertstate="firing",{MANUAL}}}': (1, 0),
    f'ALERTS{{alertstate="firing",{UNHEARD}}}': (1, 0),
    f"ALERTS_FOR_STATE{{{MANUAL}}}": (time.time() - 3600, 0),
    f"ALERTS_FOR_STATE{{{UNHEARD}}}": (time.time() - 3600, 0),
    'prometheus_rule_group_interval_seconds{rule_group="errors"}': (15, 0),
    'oncall_current{team="team-a"}': (1, 0),
    'oncall_current{team="team-b"}': (0, 0),
    "oncall_ends_timestamp_seconds": (time.time() + 86400, 0),
    'alertmanager_notifications_failed_total{integration="slack"}': (0, 1),
    f'pg_replication_slots_pg_wal_lsn_diff{{{SERVICE},slot_name="copy"}}': (2**20, 2**10),
    'remediator_blocked_total{reason="cooldown"}': (0, 1),
    f"container_restarts_total{{{SERVICE}}}": (0, 1),
    f'container_log_fingerprint_total{{{SERVICE},fingerprint="c28085dd7c06"}}': (1, 1),
    f"container_fs_reads_bytes_total{{{SERVICE}}}": (0, 4096),
    f"container_fs_writes_bytes_total{{{SERVICE}}}": (0, 4096),
}


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """1. an hour of trouble, written as blocks; 2. a Prometheus over them."""
    folder = tmp_path_factory.mktemp("trouble")
    end = time.time()
    (folder / "trouble.txt").write_text(openmetrics(end))
    subprocess.run(
        [
            *(program("promtool"), "tsdb", "create-blocks-from", "openmetrics"),
            *(folder / "trouble.txt", folder / "data"),
        ],
        check=True,
        capture_output=True,
    )
    with text_exporter() as nothing, a_prometheus(folder, RULES, scraped=nothing.url) as url:
        yield Asker(url, seconds=1800, step=STEP, until=end, rate_interval="1m")


def openmetrics(end: float) -> str:
    """Oldest first, as promtool wants them."""
    steps = MINUTES * 60 // STEP
    lines = [
        f"{series} {first + grows * step:.0f} {end - (steps - step) * STEP:.3f}"
        for series, (first, grows) in TROUBLE.items()
        for step in range(steps + 1)
    ]
    return "\n".join([*lines, "# EOF", ""])


@each_board
def test_what_only_trouble_fills_is_filled_by_it(board: Board, asker: Asker) -> None:
    assert wrong_with(board, asker, in_trouble=True) == []


def test_what_waits_for_trouble_is_asked_by_a_panel() -> None:
    asked = {(q.uid, q.panel, q.ref) for board in BOARDS.values() for q in queries(board)}

    assert set(IN_TROUBLE) <= asked
