"""What holds for a journal in a file holds for one on a server: the same tests, on a real one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.edge_containers import needs_docker
from tests.integration.edge_journal import journal_server
from tests.integration.edge_postgres import PASSWORD

pytestmark = [pytest.mark.integration, needs_docker]

ROOT = Path(__file__).parents[2]
UNITS = (
    "approval", "breaker", "hold", "intake", "journal", "killswitch", "notices", "operate",
    "operate_commands", "orders_web", "pipeline", "postmortem", "pruning", "run_orders", "storm",
)  # fmt: skip


@pytest.mark.timeout(1200)  # hundreds of tests, each with a schema of its own
def test_the_unit_tests_of_the_journal_pass_on_a_server(tmp_path: Path) -> None:
    units = [f"tests/unit/remediator/test_{name}.py" for name in UNITS]
    plugin = ["-p", "tests.integration.journals_on_postgres", "-p", "no:cacheprovider"]
    with journal_server(tmp_path) as server:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--tb=short", *plugin, *units],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | {"STACKMEDIC_TEST_SERVER": server.url, "PGPASSWORD": PASSWORD},
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
