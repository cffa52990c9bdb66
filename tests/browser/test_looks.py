"""Every page, on a desk and on a phone, light and dark: accessible, and nothing sticks out.

`make screenshots` keeps the pictures in docs/console.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, StorageState

from remediator.journal import Lease
from remediator.ports import Check, Done
from remediator.runs import Decision
from tests.browser.conftest import DESKTOP, PHONE, NewPage, Served, log_in
from tests.builders import DB_DOWN, DOWN, FULL
from tests.fakes import FakeAction

PAGES = {
    "login": "/login",
    "home": "/",
    "incident": "/incidents/1",
    "runbook": "/entries",
    "entry": "/entries/restart",
    "dry-run": "/entries/restart/worker",
    "history": "/history",
    "page": "/runbooks/ServiceDown",
    "error": "/incidents/999",
}
TALLEST = 1200  # of a picture
LOG = "\n".join(f"2026-01-05T11:59:{n:02}Z ERROR worker {n}: connection refused" for n in range(30))


class Telling(FakeAction):
    def run(self, target: object, *, timeout_seconds: float) -> Done:  # type: ignore[override]
        return Done(
            "restarted c-web; it was exited with 137",
            {"state": {"Status": "exited", "ExitCode": 137}, "log_tail": LOG},
        )


def a_night(served: Served) -> None:
    """One fault not mended, one mended, one that waits for a human, one that runs."""
    loop = served.loop
    served.site.watchdog.seen(loop.clock())
    loop.actions.by_name["restart"] = Telling()
    loop.verifier.verdicts = [Check.FAIL]
    loop.told(DOWN)
    loop.turn()
    approve(served)
    loop.verifier.verdicts = [Check.PASS]
    loop.pass_seconds(300)
    loop.told(FULL)
    loop.turn()
    approve(served)
    loop.pass_seconds(120)
    loop.told(DB_DOWN)
    loop.turn()
    loop.pass_seconds(60)
    served.site.watchdog.seen(loop.clock())


def approve(served: Served) -> None:
    (one,) = served.loop.orders.approvals()
    served.loop.orders.decide(
        one["run_id"], one["plan_hash"], Decision.APPROVED, "ann", served.loop.clock()
    )
    served.loop.turn()


class Night(NamedTuple):
    """`session`: the cookies of one who has logged in."""

    served: Served
    session: StorageState


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Night]:
    with closing(Served(tmp_path_factory.mktemp("night"))) as served:
        a_night(served)
        with closing(chromium.new_context()) as context:
            log_in(context.new_page(), served.url, "ann")
            yield Night(served, context.storage_state())


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("look", ["desktop", "dark", "phone"])
def test_a_page_is_accessible_and_fits(
    night: Night, new_page: NewPage, name: str, look: str, screenshots: Path
) -> None:
    viewport = PHONE if look == "phone" else DESKTOP
    page = new_page(
        night.served.origin,
        viewport=viewport,
        color_scheme="dark" if look == "dark" else "light",
        reduced_motion="reduce",
        storage_state=None if name == "login" else night.session,
    )
    page.goto(f"{night.served.url}{PAGES[name]}")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it sticks out"
    if look != "dark" or name == "home":
        file = screenshots / f"{name}-{look}.png"
        page.screenshot(path=file, full_page=True, clip=clip(page, viewport))


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_who_shares_the_journal_is_accessible_and_fits(
    tmp_path: Path, new_page: NewPage, viewport: dict[str, int]
) -> None:
    with closing(Served(tmp_path, shared_as="remediator-1")) as served:
        loop = served.loop
        for name in ("remediator-2", "remediator-of-a-machine-with-a-long-name"):
            Lease(loop.database, name).begin(loop.clock())
        loop.pass_seconds(20)
        loop.lease.beat(loop.clock())
        page = new_page(served.origin, viewport=viewport, reduced_motion="reduce")
        log_in(page, served.url, "ann")
        page.goto(f"{served.url}/")
        assert page.get_by_text("Remediators on this journal").is_visible()
        assert page.get_by_text("silent").count() == 2
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it sticks out"


def clip(page: Page, viewport: dict[str, int]) -> dict[str, float]:
    height = page.evaluate("document.documentElement.scrollHeight")
    return {"x": 0, "y": 0, "width": viewport["width"], "height": min(height, TALLEST)}


def violations(page: Page) -> Sequence[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes']][:3]}"
        for one in found
    ]
