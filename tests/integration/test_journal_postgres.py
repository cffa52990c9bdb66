"""What holds for a journal in a file holds for one on a server: the same tests, on a real one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from tests.integration import server_versions
from tests.integration.edge_containers import needs_docker, until
from tests.integration.edge_journal import journal_server
from tests.integration.edge_postgres import PASSWORD
from tests.integration.server_versions import Packed

pytestmark = [pytest.mark.integration, needs_docker]

ROOT = Path(__file__).parents[2]
UNITS = (
    "approval", "breaker", "hold", "intake", "journal", "killswitch", "notices", "operate",
    "operate_commands", "orders_web", "pipeline", "postmortem", "pruning", "run_orders", "storm",
)  # fmt: skip
FEW_UNITS = ("intake", "journal", "pruning", "run_orders")
OTHERS = (server_versions.POSTGRES[0], server_versions.POSTGRES[-1])
"""The oldest and the newest that a package carries; Debian's stands for those between."""


@pytest.mark.timeout(1200)  # hundreds of tests, each with a schema of its own
def test_the_unit_tests_of_the_journal_pass_on_a_server(tmp_path: Path) -> None:
    with journal_server(tmp_path) as server:
        passes_on(server.url, UNITS)


@pytest.mark.parametrize("packed", OTHERS, ids=lambda packed: f"postgres-{packed.version}")
def test_a_journal_works_on_other_versions(packed: Packed) -> None:
    with server_versions.postgres(server_versions.unpacked(), packed.program) as host:
        url = f"postgresql://app@{host}:5432"
        until(lambda: answers(url), within_seconds=60, what="postgres answers")
        passes_on(url, FEW_UNITS)


def passes_on(url: str, names: Sequence[str]) -> None:
    units = [f"tests/unit/remediator/test_{name}.py" for name in names]
    plugin = ["-p", "tests.integration.journals_on_postgres", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", *plugin, *units],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"STACKMEDIC_TEST_SERVER": url, "PGPASSWORD": PASSWORD},
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def answers(url: str) -> bool:
    try:
        psycopg.connect(f"{url}/postgres", connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
