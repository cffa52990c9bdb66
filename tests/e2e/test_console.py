"""The console as the image serves it, behind the stack's own ports."""

import re

import httpx
import pytest

from demo.monitoring import CONSOLE_ACCOUNT
from demo.world import World


@pytest.mark.timeout(120)
def test_the_demos_account_opens_the_console_and_the_runbook_pages_are_in_the_image(
    world: World,
) -> None:
    origin = world.url(world.ports.remediator, "")
    password = (world.secrets / "console_password").read_text().strip()
    with httpx.Client(base_url=origin, follow_redirects=True, trust_env=False) as person:
        asked = person.get("/")
        token = re.search('name="token" value="([0-9a-f]+)"', asked.text)
        assert token is not None, asked.text
        form = {"token": token[1], "name": CONSOLE_ACCOUNT, "password": password}
        home = person.post("/console/login", data=form)
        assert f"{CONSOLE_ACCOUNT} <span" in home.text
        assert "Stop the remediator" in home.text
        assert "docker" in person.get("/console/runbooks/ServiceDown").text
        sheet = person.get("/console/static/console.css")
        assert sheet.headers["Content-Type"].startswith("text/css")
