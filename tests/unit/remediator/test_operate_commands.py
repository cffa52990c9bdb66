"""The commands of operators against a real server: what they print, and their exit status."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from remediator.cli.asking import Remediator
from remediator.main import main
from remediator.policy import Mode
from remediator.ports import Check
from tests.builders import DOWN, FULL, a_policy
from tests.site import TOKEN, Site

Command = Callable[..., Result]


@contextmanager
def served(site: Site) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, site.client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Its worker turns when it is woken, so that an order is carried out at once."""
    site = Site(tmp_path / "state.sqlite")
    site.on_wake = site.loop.turn
    yield site
    site.loop.close()


@pytest.fixture
def command(site: Site, tmp_path: Path) -> Iterator[Command]:
    (tmp_path / "token").write_text(TOKEN)
    with served(site) as url:

        def run(*words: str, by: str = "ann") -> Result:
            where = ["--url", url, "--token-file", str(tmp_path / "token"), "--by", by]
            return CliRunner().invoke(main, [*words, *where])

        yield run


def test_incidents_are_listed_filtered_and_paged(site: Site, command: Command) -> None:
    assert command("incidents").stdout == "none\n"
    site.loop.kill_switch.pause("look first", "bob", None)
    site.loop.told(DOWN | {"severity": "P0"}, FULL)
    site.loop.turn()

    listed = command("incidents")
    assert listed.exit_code == 0
    head, *rows = listed.stdout.splitlines()
    assert head.split() == ["number", "severity", "state", "opened", "target", "entry", "now"]
    assert [row.split()[:3] for row in rows] == [["2", "P1", "open"], ["1", "P0", "open"]]
    assert "restart on web waits: paused by bob (api): look first" in rows[1]
    (only,) = json.loads(command("incidents", "--target", "cache", "--json").stdout)["incidents"]
    assert only["id"] == 2
    assert "may be more: --before 2" in command("incidents", "--limit", "1").stdout
    assert command("incidents", "--state", "closed").stdout == "none\n"
    assert command("incidents", "--since", "yesterday").exit_code == 2


def test_an_incident_is_shown_acknowledged_and_told_as_a_post_mortem(
    site: Site, command: Command
) -> None:
    site.loop.verifier.verdicts = [Check.FAIL]
    site.loop.told(FULL)
    site.loop.turn()
    said = command("ack", "1", "--note", "looking at the cache")
    assert (said.exit_code, said.stdout[:33]) == (0, "incident 1 is acknowledged by ann")
    shown = command("show", "1").stdout
    assert "acknowledged 2026-01-05 12:" in shown
    assert "by ann (command): looking at the cache" in shown
    assert "Run 2 flush-all: ineffective: the script says fail" in shown
    assert "acknowledged: by ann, note looking at the cache, via command" in shown
    assert json.loads(command("show", "1", "--json").stdout)["acknowledged"]["by"] == "ann"
    assert command("postmortem", "1").stdout.startswith("# Post-mortem: incident 1, `cache`")
    missing = command("ack", "7")
    assert (missing.exit_code, missing.stderr) == (
        2,
        "the remediator says 404: There is no incident 7.\n",
    )


def test_an_answer_of_another_version_is_no_traceback(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.loop.told(FULL)
    site.loop.turn()
    monkeypatch.setattr(Remediator, "get", lambda *_: {"id": 1, "severity": "P1"})
    result = CliRunner().invoke(main, ["show", "1", "--token-file", str(tmp_path / "token")])
    assert result.exit_code == 2
    assert "its answer lacks 'state'" in result.stderr
    assert "another version" in result.stderr


def test_what_labels_say_does_not_steer_the_terminal(site: Site, command: Command) -> None:
    site.loop.told(DOWN | {"instance": "\x1b]0;owned\x07\x1b[2J\u202e\nfake line"})
    shown = command("show", "1").stdout
    assert "owned" in shown
    assert not set("\x1b\x07\u202e") & set(shown)


def test_a_run_is_shown_ordered_and_watched_to_its_end(site: Site, command: Command) -> None:
    done = command("run", "restart", "--target", "web", "--note", "new release", "--yes")
    assert done.exit_code == 0, done.output
    assert "do: restart, within 10 s, if_not_done" in done.stdout
    assert "would run: it would be run now" in done.stdout
    assert "run ordered: order_id 1" in done.stdout
    assert done.stderr == "run 1 is effective: all checks passed 2 times in a row\n"
    assert site.loop.actions["restart"].runs == ["web"]

    again = command("run", "restart", "--target", "web", "--yes")
    assert again.exit_code == 1
    assert "cooldown" in again.stdout
    assert "blocked: the last run ended" in again.stdout
    assert site.loop.actions["restart"].runs == ["web"]


def test_a_run_that_does_not_mend_is_no_success(site: Site, command: Command) -> None:
    site.loop.verifier.verdicts = [Check.FAIL]
    done = command("run", "restart", "--target", "web", "--yes", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["incident"]["runs"][0]["state"] == "ineffective"


def test_an_order_that_is_refused_after_it_was_shown_says_why(site: Site, command: Command) -> None:
    turn = site.loop.turn

    def pause_first() -> None:
        site.loop.kill_switch.pause("wait", "bob", None)
        turn()

    site.on_wake = pause_first
    done = command("run", "restart", "--target", "web", "--yes")
    assert (done.exit_code, done.stderr) == (1, "refused: paused by bob (api): wait\n")


def test_nothing_is_run_without_a_yes_or_in_a_dry_run(site: Site, command: Command) -> None:
    dry = command("run", "restart", "--target", "web", "--dry-run")
    assert dry.exit_code == 0
    told = json.loads(command("run", "restart", "--target", "web", "--dry-run", "--json").stdout)
    assert told["verdict"] == "would_run"
    unasked = command("run", "restart", "--target", "web")
    assert unasked.exit_code == 1
    assert "Run this now?" in unasked.stderr
    assert site.loop.incidents() == []
    assert command("run", "restart", "--target", "gone", "--yes").exit_code == 2


def test_explain_says_what_an_alert_would_lead_to(site: Site, command: Command) -> None:
    said = command("explain", "--alert", "ServiceDown", "--label", "service=web")
    assert said.exit_code == 0
    assert "restart on web, mode auto" in said.stdout
    assert "not_firing" in said.stdout
    unknown = command("explain", "--alert", "Nothing", "--json")
    assert json.loads(unknown.stdout)["reason"] == "unknown_alert"
    assert command("explain", "--alert", "X", "--label", "nothing").exit_code == 2
    assert site.loop.incidents() == []


def test_pause_and_resume_say_what_still_holds(site: Site, command: Command) -> None:
    paused = command("pause", "--reason", "deep trouble", "--minutes", "5")
    assert paused.stdout == "paused by ann (api) until 2026-01-05 12:05:00: deep trouble\n"
    site.loop.path.with_name("paused").write_text("a file")
    still = command("resume")
    assert (still.exit_code, still.stdout) == (1, "paused by the file (file): a file\n")
    site.loop.path.with_name("paused").unlink()
    assert (command("resume").exit_code, command("resume").stdout) == (0, "not paused\n")


def test_humans_keep_it_out_of_their_work(site: Site, command: Command) -> None:
    begun = command("maintenance", "begin", "--target", "web", "--reason", "disks")
    assert begun.stdout == "1: ann works on web until 2026-01-05 13:00:00: disks\n"
    assert command("maintenance", "show").stdout == begun.stdout
    site.loop.told(DOWN)
    site.loop.turn()
    assert site.loop.states() == [("restart", "blocked", "maintenance")]
    assert command("maintenance", "end", "1").stdout == "nobody works on anything\n"
    assert site.loop.states() == [("restart", "effective", "verified")]
    assert command("maintenance", "end", "1").exit_code == 1


def test_a_breaker_is_reset_by_its_entry_and_target(command: Command) -> None:
    assert command("reset-breaker", "restart", "--target", "web").exit_code == 0
    assert command("reset-breaker", "restart", "--target", "gone").exit_code == 2


def test_a_question_is_shown_with_its_plan_and_why_and_answered(tmp_path: Path) -> None:
    site = Site(tmp_path / "state.sqlite", a_policy(mode=Mode.APPROVE))
    site.on_wake = site.loop.turn
    site.loop.told(DOWN)
    site.loop.turn()
    (tmp_path / "token").write_text(TOKEN)
    with served(site) as url:
        where = ["--url", url, "--token-file", str(tmp_path / "token"), "--by", "ann"]
        shown = CliRunner().invoke(main, ["approvals", *where]).stdout
        (asked,) = json.loads(CliRunner().invoke(main, ["approvals", "--json", *where]).stdout)[
            "approvals"
        ]
        assert f"run 1: restart on web, plan {asked['plan_hash']}, until 2026-01-05" in shown
        assert "  do: restart, within 10 s, if_not_done\n  because ServiceDown fires since" in shown
        said = CliRunner().invoke(main, ["approve", "1", asked["plan_hash"], *where])
    assert said.stdout == "run 1 is approved by ann\n"
    assert site.loop.states() == [("restart", "effective", "verified")]
    site.loop.close()


def test_status_and_entries_are_told_to_people_and_programs(site: Site, command: Command) -> None:
    site.loop.told(DOWN)
    site.loop.turn()
    good = command("status")
    assert good.exit_code == 0
    assert good.stdout.startswith("mode auto, 0 open incidents, 0 wait for approval\n")
    site.late = True
    broken = command("status")
    assert broken.exit_code == 1
    assert "worker      broken" in broken.stdout
    assert json.loads(command("status", "--json").stdout)["running"] == []

    rows = command("entries").stdout.splitlines()
    (own,) = [row for row in rows if row.startswith("restart ")]
    assert own.split()[:6] == ["restart", "auto", "disruptive", "1", "100%", "61"]
    assert "web: cools down until 2026-01-05 12:10:0" in own
    assert {
        entry["id"] for entry in json.loads(command("entries", "--json").stdout)["entries"]
    } == {*site.loop.policy.runbooks}


def test_who_shares_the_journal_is_told_and_who_works_on_an_incident(tmp_path: Path) -> None:
    site = Site(tmp_path / "shared.sqlite", shared_as="here")
    site.loop.told(DOWN)
    assert site.loop.runs.incident(1)
    (tmp_path / "token").write_text(TOKEN)
    with served(site) as url:
        where = ["--url", url, "--token-file", str(tmp_path / "token")]
        told = CliRunner().invoke(main, ["status", *where]).stdout.splitlines()
        (one,) = json.loads(CliRunner().invoke(main, ["status", "--json", *where]).stdout)[
            "remediators"
        ]
        shown = CliRunner().invoke(main, ["show", "1", *where]).stdout
    heads, row = (re.split("  +", line) for line in told[1:3])
    assert heads == ["remediator", "state", "last word", "open incidents", "does for all"]
    assert row == ["here (this one)", "works", "0 s ago", "1", "pruning, issues"]
    assert (one["name"], one["state"], one["silent_seconds"]) == ("here", "works", 0.0)
    assert "  worked on by here\n" in shown
    site.loop.close()


def test_in_mode_approve_nobody_is_asked_about_what_somebody_has_ordered(tmp_path: Path) -> None:
    site = Site(tmp_path / "other.sqlite", a_policy(mode=Mode.APPROVE))
    site.on_wake = site.loop.turn
    (tmp_path / "token").write_text(TOKEN)
    with served(site) as url:
        where = ["--url", url, "--token-file", str(tmp_path / "token"), "--by", "ann"]
        done = CliRunner().invoke(main, ["run", "restart", "--target", "web", "--yes", *where])
    assert done.exit_code == 0
    site.loop.close()


def test_every_command_has_its_help_and_completes() -> None:
    for name in main.commands:
        shown = CliRunner().invoke(main, [name, "--help"])
        assert shown.exit_code == 0
    completed = CliRunner().invoke(
        main,
        env={
            "_STACKMEDIC_REMEDIATOR_COMPLETE": "bash_complete",
            "COMP_WORDS": "stackmedic-remediator ac",
            "COMP_CWORD": "1",
        },
        prog_name="stackmedic-remediator",
    )
    assert completed.output == "plain,ack\n"
