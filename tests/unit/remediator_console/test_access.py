"""Who gets into the console, and what stays out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remediator.config_console import ConsoleProxySection, ConsoleSection
from remediator.policy import Mode
from tests.builders import DOWN, a_policy
from tests.site import AUTH, Site
from tests.unit.remediator_console.conftest import ACCOUNTS, PASSWORDS, Browser, words

ORDERS = (
    "/console/pause",
    "/console/resume",
    "/console/maintenance",
    "/console/maintenance/1/end",
    "/console/approvals/1",
    "/console/incidents/1/acknowledge",
    "/console/entries/restart/web/run",
    "/console/breakers/reset",
)
PAGES = (
    "/console/",
    "/console/incidents/1",
    "/console/incidents/1/postmortem.md",
    "/console/entries",
    "/console/entries/restart",
    "/console/entries/restart/web",
    "/console/history",
    "/console/runbooks/ServiceDown",
    "/console/nothing",
)
Open = Callable[[], Browser]


def routes(site: Site, method: str) -> set[str]:
    rules = site.client.application.url_map.iter_rules()
    return {
        rule.endpoint
        for rule in rules
        if rule.endpoint.startswith("console.") and method in (rule.methods or ())
    }


def test_every_order_and_every_page_is_in_these_lists(site: Site) -> None:
    assert len(routes(site, "POST") - {"console.log_in", "console.log_out"}) == len(ORDERS)
    others = {"console.static", "console.login", "console.try_out_on"}
    assert len(routes(site, "GET") - others) == len(PAGES)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_for_who_has_logged_in(browser: Open, path: str) -> None:
    answer = browser().get(path)
    assert answer.status_code == 303
    assert answer.location == f"/console/login?to={path}"
    assert browser().live(path).status_code == 401


@pytest.mark.parametrize("path", ORDERS)
def test_an_order_is_for_operators_with_a_form_of_their_session(
    site: Site, browser: Open, ann: Browser, vic: Browser, path: str
) -> None:
    site.loop.told(DOWN)
    site.loop.turn()
    before = site.loop.database._connection.total_changes
    stranger = browser().send(path, token="0" * 64)
    assert stranger.status_code == 401
    viewer = vic.send(path)
    assert viewer.status_code == 403
    assert "only an operator may order this" in words(viewer)
    vics = vic.get().text.partition('name="token" value="')[2][:64]
    for token in ("", "0" * 64, vics):
        forged = ann.send(path, token=token)
        assert forged.status_code == 403
        assert "another site sent it" in words(forged)
    assert ann.client.get(path).status_code in {404, 405}
    assert site.loop.database._connection.total_changes == before


def test_a_form_that_another_site_sends_is_refused_whatever_it_holds(ann: Browser) -> None:
    token = ann.get().text.partition('name="token" value="')[2][:64]
    for site in ("cross-site", "same-site", "none"):
        form = {"token": token, "reason": "x"}
        answer = ann.client.post("/console/pause", data=form, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403


def test_the_bearer_token_opens_no_page_and_a_session_no_api(site: Site, ann: Browser) -> None:
    assert site.client.get("/console/", headers=AUTH).status_code == 303
    assert ann.get("/api/v1/incidents").status_code == 401


def test_a_wrong_name_and_a_wrong_password_look_the_same(
    browser: Open, caplog: pytest.LogCaptureFixture
) -> None:
    sentence = "This name and password do not belong together."
    wrong, nobody = browser().log_in("ann", "wrong"), browser().log_in("nobody", "wrong")
    assert (wrong.status_code, nobody.status_code) == (403, 403)
    assert sentence in words(wrong)
    assert sentence in words(nobody)
    assert "wrong" not in caplog.text


def test_tries_get_rarer_but_not_in_a_browser_that_was_in(
    site: Site, browser: Open, ann: Browser
) -> None:
    ann.send("/console/logout")
    stranger = browser()
    codes = [stranger.log_in("ann", "wrong").status_code for _ in range(7)]
    assert codes == [403] * 5 + [429] * 2
    late = stranger.log_in("ann")
    assert late.status_code == 429, "also with the right password"
    assert "Try again in 2 s." in words(late) or "Try again in 1 s." in words(late)
    assert int(late.headers["Retry-After"]) >= 1
    assert ann.log_in("ann").status_code == 303
    site.loop.pass_seconds(60)
    assert stranger.log_in("ann").status_code == 303


def test_one_gets_where_one_wanted_to_and_nowhere_else(browser: Open) -> None:
    for wanted, got in (
        ("/console/history?state=open", "/console/history?state=open"),
        ("https://evil.example/console/", "/console/"),
        ("//evil.example/console/", "/console/"),
        ("///console/history", "/console/"),
        ("/console/\\evil", "/console/"),
        ("/metrics", "/console/"),
        ("", "/console/"),
    ):
        assert browser().log_in("ann", to=wanted).location == got


def test_a_session_ends_at_logout_at_its_time_and_with_its_account(
    site: Site, browser: Open, tmp_path: Path
) -> None:
    def enter() -> Browser:
        made = browser()
        made.log_in("ann")
        assert made.get().status_code == 200
        return made

    one = enter()
    cookie = one.client.get_cookie("stackmedic-session")
    assert cookie is not None
    assert one.send("/console/logout").status_code == 303
    one.client.set_cookie("stackmedic-session", cookie.value)
    assert one.get().status_code == 303, "a copy of it is out too"

    two = enter()
    site.loop.pass_seconds(12 * 3600)
    assert two.get().status_code == 303

    three = enter()
    accounts = tmp_path / "accounts.yml"
    accounts.write_text(ACCOUNTS.replace("ann:", "amy:"))
    assert three.get().status_code == 303


def test_the_browser_is_told_to_keep_everything_else_out(browser: Open, ann: Browser) -> None:
    for answer in (ann.get(), browser().get("/console/login"), ann.get("/console/nothing")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "style=" not in answer.text
        assert "onclick" not in answer.text
        assert "http://" not in answer.text.replace("http://remediator", "")
    (cookie,) = browser().get("/console/login").headers.getlist("Set-Cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    with ann.get("/console/static/console.css") as sheet:
        assert sheet.headers["X-Content-Type-Options"] == "nosniff"


def test_a_link_in_a_chat_leads_back_into_the_session(site: Site, browser: Open) -> None:
    """The browser keeps a strict cookie back when another site leads here, and only then."""
    led = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    answer = browser().get("/console/history?text=a%22b", **led)
    assert answer.status_code == 200
    assert 'content="0;url=/console/history?text=a%22b"' in answer.text


# -- behind a proxy -------------------------------------------------------------------------


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Site]:
    proxy = ConsoleProxySection(
        addresses=["127.0.0.1", "10.1.0.0/16"], user_header="X-Remote-User", operators=["ann"]
    )
    site = Site(tmp_path / "state.sqlite", a_policy(mode=Mode.APPROVE), ConsoleSection(proxy=proxy))
    yield site
    site.loop.close()


def test_a_proxys_header_says_who_asks(proxied: Site) -> None:
    person = Browser(proxied.client)
    for name, role, code in (("ann", "operator", 303), ("vic", "viewer", 403)):
        proxied.client.environ_base["HTTP_X_REMOTE_USER"] = name
        assert f"{name} ({role})" in words(person.get())
        assert person.send("/console/pause", reason="x").status_code == code
        assert person.send("/console/pause", token="0" * 64, reason="x").status_code == 403
    assert "Log out" not in words(person.get())
    assert proxied.client.get("/console/login").status_code == 404


def test_a_form_of_somebody_elses_session_is_refused(proxied: Site) -> None:
    person = Browser(proxied.client)
    proxied.client.environ_base["HTTP_X_REMOTE_USER"] = "vic"
    vics = person.get().text.partition('name="token" value="')[2][:64]
    proxied.client.environ_base["HTTP_X_REMOTE_USER"] = "ann"
    assert person.send("/console/pause", token=vics, reason="x").status_code == 403
    assert proxied.loop.kill_switch.paused() is None


@pytest.mark.parametrize(
    ("address", "name"), [("10.2.0.1", "ann"), ("", "ann"), ("10.1.0.1", ""), ("10.1.0.1", "\x01")]
)
def test_nobody_else_is_believed(proxied: Site, address: str, name: str) -> None:
    answer = proxied.client.get(
        "/console/",
        environ_overrides={"REMOTE_ADDR": address, "HTTP_X_REMOTE_USER": name},
    )
    assert answer.status_code == 401
    assert "Open the console through it." in words(answer)


def test_addresses_behind_a_proxy_are_counted_each_for_itself(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.yml"
    accounts.write_text(ACCOUNTS)
    proxy = ConsoleProxySection(addresses=["127.0.0.1"])
    section = ConsoleSection(accounts_file=str(accounts), proxy=proxy)
    site = Site(tmp_path / "state.sqlite", a_policy(), section)

    def of(address: str) -> Browser:
        made = Browser(site.client.application.test_client())
        made.client.environ_base["HTTP_X_FORWARDED_FOR"] = f"6.6.6.6, {address}"
        return made

    one = of("10.0.0.1")
    for number in range(5):
        one.log_in(f"nobody-{number}", "wrong")
    assert one.log_in("vic").status_code == 429
    assert of("10.0.0.2").log_in("vic", PASSWORDS["vic"]).status_code == 303
    site.loop.close()


# -- off ------------------------------------------------------------------------------------


def test_without_a_section_there_is_no_console(tmp_path: Path) -> None:
    site = Site(tmp_path / "state.sqlite")
    for path in ("/console", "/console/", "/console/login", "/console/static/console.css"):
        answer = site.client.get(path, follow_redirects=True)
        assert answer.status_code == 404
        assert "it is off" in (answer.json or {})["error"]
    assert site.client.get("/").status_code == 404
    site.loop.close()


@pytest.mark.parametrize(
    "section", [{}, {"accounts_file": "a", "proxy": {"addresses": ["::1"], "user_header": "X-U"}}]
)
def test_who_asks_is_said_in_one_way(section: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="by one"):
        ConsoleSection.model_validate(section)
