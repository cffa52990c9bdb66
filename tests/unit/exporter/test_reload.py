"""A configuration is exchanged while the exporter runs; --print at a terminal."""

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

from exporter.collectors.port import Clocks
from exporter.config import Config, parse
from exporter.families.metric import gauge
from exporter.families.scrape import Outcome
from exporter.reload import Running
from exporter.scrape import Scrape
from exporter.settings import Invalid, Settings
from exporter.terminal import report
from tests.unit.exporter.running import COMMAND, REPO, await_, running

CLOCKS = Clocks(time.monotonic, time.time)


def test_reload_by_post_and_by_signal_keeps_the_old_file_on_a_mistake(tmp_path: Path) -> None:
    with running(tmp_path, "host: web-1\n") as exporter:
        good = exporter.config.read_text()
        assert 'stackmedic_host_info{host="web-1"} 1' in exporter.ask("/metrics")[1]

        exporter.config.write_text(f"{good}probes: {{site: {{url: here}}}}\n")
        status, text = exporter.ask("/-/reload", "POST")
        assert status == 500
        assert "exporter.yml: probes.site.service: is required" in text
        metrics = exporter.ask("/metrics")[1]
        assert "stackmedic_config_last_reload_successful 0" in metrics
        assert 'stackmedic_host_info{host="web-1"} 1' in metrics
        assert "the last reload failed" in exporter.ask("/")[1]

        exporter.config.write_text(good.replace("web-1", "web-2"))
        exporter.process.send_signal(signal.SIGHUP)
        await_(lambda: 'host_info{host="web-2"}' in exporter.ask("/metrics")[1])
        assert "stackmedic_config_last_reload_successful 1" in exporter.ask("/metrics")[1]
        assert exporter.ask("/-/reload")[0] == 405
    assert "not reloaded: exporter.yml: probes.site.url" in exporter.log()
    assert "Traceback" not in exporter.log()


def test_what_a_reload_does_not_change_goes_on(tmp_path: Path) -> None:
    files = [
        "textfiles: {directory: /a}\ndisks: {x: {path: /}}\n",
        "textfiles: {directory: /b}\ndisks: {x: {path: /}}\nscrape: {timeout: 9s}\n",
        "modules: [",
        "{}",
    ]
    turn = iter(files[1:])

    def load(_: Path) -> Settings:
        return parse(next(turn), "exporter.yml").settings()

    current = Running(tmp_path, parse(files[0], "exporter.yml").settings(), CLOCKS, load)
    before = {item.name: item for item in current.scraper.opened()}

    assert current.reload() == ()
    after = {item.name: item for item in current.scraper.opened()}
    assert after["disks"] is before["disks"]
    assert after["process"] is before["process"]
    assert after["textfiles"] is not before["textfiles"]
    assert current.in_force().default_timeout == 9.0

    assert len(current.reload()) == 1
    assert {item.name: item for item in current.scraper.opened()} == after
    assert current.in_force().state.errors

    assert current.reload() == ()
    assert [item.name for item in current.scraper.opened()] == ["process"]
    assert not current.in_force().state.errors
    current.scraper.close()


def test_a_file_that_is_gone_is_a_mistake(tmp_path: Path) -> None:
    def load(_: Path) -> Settings:
        raise Invalid(["exporter.yml: cannot be read"])

    current = Running(tmp_path, Config().settings(), CLOCKS, load)

    assert current.reload() == ("exporter.yml: cannot be read",)
    current.scraper.close()


def test_print_is_for_people_where_people_look(tmp_path: Path) -> None:
    config = tmp_path / "exporter.yml"
    config.write_text("{}\n")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, f"--config.file={config}", "--print"], cwd=REPO, stdout=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # how a terminal says that the other side is gone
        pass
    os.close(ours)

    assert process.wait(30) == 0
    assert b"good" in seen
    assert b"process_resident_memory_bytes" in seen
    assert b"# HELP" not in seen


def test_the_report_tells_failures_first_and_figures_as_people_say_them() -> None:
    size = gauge("a_size_bytes", "Size.", ("file",))
    at = gauge("a_done_timestamp_seconds", "When.")
    text = report(
        Scrape(
            (size.family([(("\x1b[2J",), 2048.0), (("b",), 5)]), at.family([((), 1.7e9)])),
            (Outcome("good-one", "", 0.1), Outcome("bad-one", "connect: away", 0.2)),
        )
    )

    assert text.index("bad-one") < text.index("good-one")
    assert "2.0 KiB" in text
    assert "2023-11-14 22:13:20 UTC" in text
    assert "\x1b[2J" not in text
