"""`oncall show`, `check` and `compile`, and what a scrape is told of the same file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry

from remediator.main import main
from remediator.metrics import OncallGauges
from remediator.rota_file import RotaFile

REPO = Path(__file__).resolve().parents[3]
GOOD = REPO / "tests" / "golden" / "oncall" / "valid.yml"
SHIPPED = REPO / "alert_rules" / "alertmanager.yml"


class Files:
    """oncall.yml of 2026 with teams a, b and c, and an alertmanager.yml that asks for them."""

    def __init__(self, folder: Path) -> None:
        self.rota, self.alertmanager = folder / "oncall.yml", folder / "alertmanager.yml"
        self.rota.write_text(GOOD.read_text())
        text = SHIPPED.read_text()
        for team in "abc":
            text = text.replace(f"oncall-team-{team}", f"oncall-{team}")
        self.alertmanager.write_text(text)

    def run(self, command: str, *options: str) -> Result:
        files = ["--file", str(self.rota)]
        if command != "show":
            files += ["--alertmanager", str(self.alertmanager)]
        return CliRunner().invoke(main, ["oncall", command, *files, *options])


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_show_tells_whose_turn_it_is_and_the_next_ones(files: Files) -> None:
    shown = files.run("show", "--at", "2026-01-06 20:00")

    assert shown.exit_code == 0
    now, then, *_ = shown.stdout.splitlines()
    assert now.startswith("now   Tue 2026-01-06 18:00 CET to Wed 2026-01-07 08:30 CET  b, ")
    assert now.endswith("(Epiphany)")
    assert then.startswith("then  Wed 2026-01-07 08:30 CET")
    assert "business hours: no" in shown.stdout


def test_show_says_so_when_nobody_is_on_call(files: Files) -> None:
    shown = files.run("show", "--at", "2020-01-01 12:00")

    assert (shown.exit_code, shown.stdout.splitlines()[0]) == (1, "now   nobody")


def test_compile_writes_between_the_marks_and_only_there(files: Files) -> None:
    before = files.alertmanager.read_text()
    assert files.run("compile", "--check").exit_code == 1
    assert files.alertmanager.read_text() == before
    assert files.run("compile").exit_code == 0

    after = files.alertmanager.read_text()
    mark = "# >>> on-call"
    assert after.partition(mark)[0] == before.partition(mark)[0]
    names = {one["name"] for one in yaml.safe_load(after)["time_intervals"]}
    assert names >= {"oncall-a", "oncall-b", "oncall-c", "rota-covered", "business-hours"}
    assert "up to date" in files.run("compile", "--check").stdout


def test_check_is_content_with_what_was_compiled(files: Files) -> None:
    files.run("compile")
    checked = files.run("check", "--at", "2026-01-05 12:00")

    assert checked.exit_code == 0, checked.stderr
    assert "somebody is on call until" in checked.stdout


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ("2020-01-01 12:00", "nobody is on call until"),
        ("2040-01-01 12:00", "nobody is on call since"),
        ("2026-01-05 12:00", "in 20 days: set a later end"),
    ],
)
def test_check_names_the_end_of_the_rota(files: Files, at: str, told: str) -> None:
    files.rota.write_text(GOOD.read_text().replace("ends: 2026-12-28", "ends: 2026-01-26"))
    files.run("compile")
    checked = files.run("check", "--at", at)

    assert checked.exit_code == 1
    assert told in checked.stderr


def test_check_names_a_rota_that_was_not_compiled_and_a_team_that_no_route_asks_for(
    files: Files,
) -> None:
    text = files.alertmanager.read_text()
    text = text.replace("[oncall-b]", "[oncall-a]").replace("[rota-covered]", "[holidays]")
    files.alertmanager.write_text(text)
    told = files.run("check", "--at", "2026-01-05 12:00").stderr

    assert "run oncall compile" in told
    assert "no route asks for oncall-b: b is never paged" in told
    assert "oncall-a" not in told
    assert "no route is for the time without rota" in told


def test_files_that_cannot_be_used_are_told_apart_from_work_to_do(files: Files) -> None:
    unmarked = files.run("compile", "--alertmanager", str(GOOD))
    assert unmarked.exit_code == 2
    assert "must hold these two lines, once" in unmarked.stderr
    assert files.run("compile", "--alertmanager", "/nowhere.yml").exit_code == 2
    files.rota.write_text("version: 1\n")
    for command in ("show", "check", "compile"):
        refused = files.run(command)
        assert refused.exit_code == 2
        assert "timezone" in refused.stderr
    assert files.run("show", "--at", "soon").exit_code == 2


# -- what a scrape is told --------------------------------------------------------------------


def told(path: Path | None, at: datetime) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(OncallGauges(RotaFile(path).rota, lambda: at))
    return samples(registry)


def samples(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.labels.get("team", "ends"): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_a_scrape_tells_who_is_on_call_and_the_end_of_the_rota() -> None:
    found = told(GOOD, datetime(2026, 1, 6, 19, tzinfo=UTC))

    assert {team: found[team] for team in "abc"} == {"a": 0, "b": 1, "c": 0}
    assert found["ends"] > datetime(2026, 1, 6, tzinfo=UTC).timestamp()
    assert told(GOOD, datetime(2020, 1, 1, tzinfo=UTC))["b"] == 0
    assert told(None, datetime(2026, 1, 6, tzinfo=UTC)) == {}


def test_a_rota_that_cannot_be_used_has_no_series_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, registry = tmp_path / "oncall.yml", CollectorRegistry()
    at = datetime(2026, 1, 6, 19, tzinfo=UTC)
    registry.register(OncallGauges(RotaFile(path).rota, lambda: at))
    assert samples(registry) == {}
    path.write_text(GOOD.read_text())
    assert samples(registry)["b"] == 1
    path.write_text("version: 2\n")
    assert samples(registry) == {}
    assert samples(registry) == {}
    path.write_text(GOOD.read_text())

    assert samples(registry)["b"] == 1
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2, "a mistake is told once, not at each scrape"
    assert "nobody can tell who is on call" in warnings[1]
