"""The console on a real journal, without a socket; people log in and send its forms."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from remediator.config_console import ConsoleSection
from remediator.policy import Mode
from remediator.web.console.accounts import hashed
from tests.builders import a_policy
from tests.site import Site

PASSWORDS = {"ann": "ann's long word", "vic": "vic's long word"}
HASHES = {name: hashed(password) for name, password in PASSWORDS.items()}
ACCOUNTS = (
    f"ann: {{role: operator, password: '{HASHES['ann']}'}}\n"
    f"vic: {{role: viewer, password: '{HASHES['vic']}'}}\n"
)


class Browser:
    """A person's, with cookies of its own."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str = "/console/", **headers: str) -> TestResponse:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.client.get(path, headers=sent)

    def live(self, path: str = "/console/", **headers: str) -> TestResponse:
        return self.get(path, **{"X_Live": "1"} | headers)

    def send(
        self, path: str, *, token: str | None = None, page: str = "/console/", **form: str
    ) -> TestResponse:
        """A form of that page."""
        if token is None:
            found = re.search('name="token" value="([0-9a-f]+)"', self.get(page).text)
            token = found[1] if found else ""
        return self.client.post(path, data={"token": token, **form})

    def log_in(self, name: str, password: str | None = None, **form: str) -> TestResponse:
        given = PASSWORDS.get(name, "") if password is None else password
        page = "/console/login"
        return self.send(page, page=page, name=name, password=given, **form)


def words(answer: TestResponse) -> str:
    """What a page says, without its markup."""
    text = re.sub(r"<[^>]*>", " ", answer.text)
    return " ".join(unescape(text).split())


@pytest.fixture
def accounts(tmp_path: Path) -> ConsoleSection:
    path = tmp_path / "accounts.yml"
    path.write_text(ACCOUNTS)
    return ConsoleSection(accounts_file=str(path))


@pytest.fixture
def site(tmp_path: Path, accounts: ConsoleSection) -> Iterator[Site]:
    site = Site(tmp_path / "state.sqlite", a_policy(mode=Mode.APPROVE), accounts)
    yield site
    site.loop.close()


@pytest.fixture
def browser(site: Site) -> Callable[[], Browser]:
    return lambda: Browser(site.client.application.test_client())


@pytest.fixture
def ann(browser: Callable[[], Browser]) -> Browser:
    made = browser()
    assert made.log_in("ann").status_code == 303
    return made


@pytest.fixture
def vic(browser: Callable[[], Browser]) -> Browser:
    made = browser()
    assert made.log_in("vic").status_code == 303
    return made
