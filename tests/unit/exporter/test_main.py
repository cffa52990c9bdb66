"""The command as its users meet it: a process of its own."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
COMMAND = (sys.executable, "-m", "exporter.main")


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *flags], cwd=REPO, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = tmp_path / "exporter.yml"
    path.write_text(f"listen: 127.0.0.1:{port}\n")
    return path


def test_check_says_good_of_the_shipped_file() -> None:
    done = run("--config.file=exporter/exporter.yml", "--config.check")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "exporter/exporter.yml: good\n"


def test_print_scrapes_once(config: Path) -> None:
    done = run(f"--config.file={config}", "--print")

    assert done.returncode == 0
    assert "stackmedic_build_info{" in done.stdout
    assert 'stackmedic_scrape_collector_success{collector="process"} 1' in done.stdout


def test_version() -> None:
    assert run("--version").stdout.startswith("stackmedic ")


def test_a_source_that_is_not_configured_is_not_imported(config: Path) -> None:
    script = (
        "import sys; from exporter.main import main; "
        f"main(['--config.file={config}', '--print']); "
        "print(sorted({'docker', 'psycopg', 'requests', 'redis', 'flask'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_stop_and_then_ends_well(
    config: Path, number: signal.Signals
) -> None:
    url = f"http://{config.read_text().split()[1]}/-/ready"
    with subprocess.Popen(
        [*COMMAND, f"--config.file={config}"], cwd=REPO, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + 30
        while not ready(url):
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(number)

        assert process.wait(10) == 0
        assert process.stderr is not None
        events = [line.partition(": ")[2].strip() for line in process.stderr]
    assert events[0].startswith("listening on ")
    assert events[-1] == "stopping"


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  our own loopback
            return bool(response.status == 200)
    except OSError:
        return False


def test_a_port_in_use_is_told_in_one_line(config: Path) -> None:
    host, port = config.read_text().split()[1].split(":")
    with socket.create_server((host, int(port))):
        done = run(f"--config.file={config}")

    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr
