"""The console of the remediator as production runs it, with real alerts and containers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ACCOUNTS, NewPage, forge_and_press, log_in
from tests.integration.edge_containers import needs_docker
from tests.integration.live import SLOW
from tests.integration.live_remediator import Remediator, Stage, a_remediator, a_stage

pytestmark = needs_docker

IN_TIME = SLOW * 1000


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage")) as made:
        yield made


@contextmanager
def asking(stage: Stage, folder: Path, service: str, **keys: object) -> Iterator[Remediator]:
    """It asks before each run."""
    accounts = folder / "accounts.yml"
    accounts.write_text(ACCOUNTS)
    console = {"accounts_file": str(accounts)}
    options = {"mode": "approve", "console": console} | keys
    with a_remediator(stage, folder / "remediator", [service], **options) as made:
        made.start()
        yield made


def opened(new_page: NewPage, remediator: Remediator, name: str = "ann", **options: object) -> Page:
    page = new_page(remediator.url, **options)
    log_in(page, f"{remediator.url}/console", name)
    page.set_default_timeout(IN_TIME)
    return page


def test_a_fault_is_seen_approved_and_mended(
    stage: Stage, new_page: NewPage, tmp_path: Path
) -> None:
    with (
        stage.world.service() as service,
        asking(stage, tmp_path, service) as remediator,
    ):
        page = opened(new_page, remediator)
        expect(page.get_by_text("Nothing is broken").first).to_be_visible()
        stage.world.break_(service)
        approve = page.get_by_role("button", name="Approve: do exactly this")
        approve.wait_for()
        assert stage.world.starts(service) == 1
        page.wait_for_timeout(700)  # a button that has just come cannot be hit
        approve.click()
        expect(page.get_by_role("status").first).to_contain_text("is approved")
        remediator.until(lambda: remediator.rests(service), "it is mended")
        expect(page.locator("#part-open")).to_contain_text("Nothing is broken", timeout=IN_TIME)
        page.get_by_role("link", name="History").click()
        page.get_by_role("link", name=f"{service}: ServiceDown").click()
        expect(page.locator("[id^=part-run]")).to_contain_text("effective")
        expect(page.locator("#part-line")).to_contain_text("approval approved")
        expect(page.locator("#part-line")).to_contain_text("by ann")
        expect(page.get_by_text("docker logs --tail 100 CONTAINER").first).to_be_visible()
        assert stage.world.starts(service) == 2


def test_a_run_is_denied_acknowledged_and_then_ordered(
    stage: Stage, new_page: NewPage, tmp_path: Path
) -> None:
    with (
        stage.world.service() as service,
        asking(stage, tmp_path, service) as remediator,
    ):
        stage.world.break_(service)
        page, other = opened(new_page, remediator), opened(new_page, remediator, "vic")
        deny = page.get_by_role("button", name="Deny")
        deny.wait_for()
        page.wait_for_timeout(700)
        deny.click()
        expect(other.locator("#part-open")).to_contain_text("needs a human", timeout=IN_TIME)
        page.get_by_role("button", name="I take it: acknowledge").click()
        expect(other.locator("#part-open")).to_contain_text("acknowledged by ann", timeout=IN_TIME)
        page.get_by_role("link", name="Runbook").click()
        page.get_by_role("link", name="restart", exact=True).click()
        page.get_by_label("Another target").select_option(service)
        page.get_by_role("button", name="Try it out there").click()
        assert stage.world.starts(service) == 1
        page.get_by_role("button", name="Run it now").click()
        remediator.until(lambda: remediator.rests(service), "it is mended")
        expect(page.locator("#part-line")).to_contain_text("by ann", timeout=IN_TIME)
        last = remediator.incidents(service)[-1]["runs"][-1]
        assert (last["state"], last["ordered_by"]) == ("effective", "ann")
        assert stage.world.starts(service) == 2


def test_what_is_stopped_or_over_or_forged_touches_nothing(
    stage: Stage, new_page: NewPage, tmp_path: Path
) -> None:
    with (
        stage.world.service() as service,
        asking(stage, tmp_path, service, approval={"timeout": "15s"}) as remediator,
    ):
        page = opened(new_page, remediator)
        page.get_by_text("Stop the remediator").click()
        page.get_by_role("button", name="Stop now").click()
        expect(page.locator("#part-sum")).to_contain_text("Stopped")
        stage.world.break_(service)
        incident = page.get_by_role("link", name=f"{service}: ServiceDown")
        expect(incident).to_be_visible(timeout=IN_TIME)
        expect(page.get_by_role("button", name="Approve: do exactly this")).to_have_count(0)
        page.get_by_role("button", name="Let it go on").click()
        page.get_by_role("button", name="Approve: do exactly this").wait_for()
        old = opened(new_page, remediator, java_script_enabled=False)  # it stays as it was
        remediator.until(lambda: remediator.is_paged(service), "nobody has answered")
        old.get_by_role("button", name="Approve: do exactly this").click()
        expect(old.get_by_role("heading", name="Refused: nothing was done")).to_be_visible()
        calls = stage.alertmanager.alerts("RemediationEscalated")
        (way,) = (one["generatorURL"] for one in calls if one["labels"]["service"] == service)
        page.goto(way)
        expect(page.get_by_role("heading", name=f"{service}: ServiceDown")).to_be_visible()
        page.goto(f"{remediator.url}/console/")
        forge_and_press(page, "[id^=ack-]")
        expect(page.get_by_role("alert")).to_contain_text("another site sent it")
        assert stage.world.starts(service) == 1
