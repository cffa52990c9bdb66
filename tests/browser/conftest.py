"""The console in a real browser, from a real server: Debian's Chromium, driven by Playwright.

What the browser is sent comes from waitress, as in production, on a real journal; a test turns
the remediator's loop by hand. Every page is watched: an error in its console, or a request to
anywhere else, fails the test.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright
from waitress import wasyncore  # type: ignore[import-untyped]  # it ships no types

from remediator.config_console import ConsoleSection
from remediator.policy import Mode
from remediator.web.console.accounts import hashed
from remediator.web.serving import serving
from tests.builders import a_policy, a_rota
from tests.integration.edge_containers import free_port
from tests.site import MAX_BODY, Site

PASSWORD = "a long enough word"
HASH = hashed(PASSWORD)
ACCOUNTS = "".join(
    f"{name}: {{role: {role}, password: '{HASH}'}}\n"
    for name, role in (("ann", "operator"), ("vic", "viewer"))
)
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Served:
    """The console at `url`; `site.loop` is the remediator behind it.

    `shared_as`: its name on a journal that others share.
    """

    def __init__(self, folder: Path, shared_as: str = "") -> None:
        accounts = folder / "accounts.yml"
        accounts.write_text(ACCOUNTS)
        section = ConsoleSection(accounts_file=str(accounts))
        policy = a_policy(mode=Mode.APPROVE)
        self.site = Site(
            folder / "state.sqlite", policy, section, has_rota=True, shared_as=shared_as
        )
        self.site.rota = a_rota()
        self.loop = self.site.loop
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/console"
        self._server = serving(
            self.site.client.application, "127.0.0.1", self.port, max_body_bytes=MAX_BODY
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.close()
        self._server.task_dispatcher.shutdown()
        self._thread.join(60)
        wasyncore.close_all(self._server._map, ignore_all=True)  # what a browser left open
        self.loop.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with closing(Served(tmp_path)) as made:
        yield made


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        message = "chromium is not installed: run `make browser`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


NewPage = Callable[..., Page]
Open = Callable[..., Page]


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[NewPage]:
    """`new_page(url, **options)`: an empty page of a browser of its own; it may ask only there."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_(url: str, **options: object) -> Page:
        def watch(request: Request) -> None:
            if not request.url.startswith((f"{url}/", "http://localhost:")):
                wrong.append(f"asked for {request.url}")

        context = chromium.new_context(viewport=options.pop("viewport", DESKTOP), **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", watch)
        page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        page.on("console", lambda said: wrong.append(said.text) if is_wrong(said.text) else None)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def open_page(new_page: NewPage, served: Served) -> Open:
    """A page, logged in as `name` unless that is empty."""

    def open_(name: str = "ann", **options: object) -> Page:
        page = new_page(served.origin, **options)
        if name:
            log_in(page, served.url, name)
        return page

    return open_


def is_wrong(said: str) -> bool:
    """Chromium also writes down every answer that is no success: those are asked for here."""
    return "Failed to load resource" not in said


def log_in(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{url}/")


@contextmanager
def marked(page: Page) -> Iterator[None]:
    """The page is not loaded again meanwhile."""
    page.evaluate("window.stays = true")
    yield
    assert page.evaluate("window.stays") is True


def forge_and_press(page: Page, button: str) -> None:
    """At once, so that nothing live puts the right token back."""
    page.locator(button).evaluate(
        """button => {
             for (const one of document.querySelectorAll("[name=token]")) one.value = "f0f0";
             button.click();
           }"""
    )


__all__ = [
    "ACCOUNTS",
    "DESKTOP",
    "PASSWORD",
    "PHONE",
    "NewPage",
    "Open",
    "Served",
    "forge_and_press",
    "log_in",
    "marked",
]
