"""What the person on call does in the console, in a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
from playwright.sync_api import Page, expect
from typing_extensions import override

from tests.browser.conftest import PASSWORD, Open, Served, forge_and_press, log_in, marked
from tests.builders import DOWN, FULL
from tests.http_fakes import served as serve


def asked(served: Served) -> None:
    """The remediator asks whether it may restart web."""
    served.loop.told(DOWN)
    served.loop.turn()


def events(served: Served) -> list[tuple[str, str]]:
    rows = served.loop.database.all("events_of_incident", incident_id=1, limit=100, alerts=0)
    found = [(row["kind"], row["detail"]) for row in rows]
    return [(kind, detail) for kind, detail in found if '"by"' in detail]


@pytest.mark.parametrize(
    ("button", "state", "after"),
    [("Approve: do exactly this", "effective", "watching"), ("Deny", "aborted", "needs a human")],
)
def test_a_run_is_approved_or_denied(
    served: Served, open_page: Open, button: str, state: str, after: str
) -> None:
    page = open_page()
    with marked(page):
        expect(page.get_by_text("Nothing waits for you")).to_be_visible()
        asked(served)
        expect(page.get_by_role("heading", name="Waits for you")).to_be_visible()
    page.wait_for_timeout(700)  # a button that has just come cannot be hit
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("status").first).to_contain_text("Run 1 is ")
    with marked(page):
        served.loop.turn()
        expect(page.locator("#part-open")).to_contain_text(
            "Nothing is broken" if state == "effective" else after
        )
        expect(page.get_by_role("heading", name="Waits for you")).to_have_count(0)
    assert served.loop.states()[0][1] == state
    first = next(kind for kind, detail in events(served) if '"ann"' in detail)
    assert first.startswith("approval_")


def test_a_button_that_has_just_come_cannot_be_hit(served: Served, open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        """() => new MutationObserver((_, me) => {
             const button = document.querySelector("button[id^=approve]");
             if (button) { me.disconnect(); button.click(); document.title = "clicked"; }
           }).observe(document.getElementById("live"), {childList: true, subtree: true})"""
    )
    asked(served)
    expect(page).to_have_title("clicked")
    served.loop.turn()
    assert served.loop.states()[0][1] == "awaiting_approval"


def test_an_incident_is_acknowledged_with_a_note(served: Served, open_page: Open) -> None:
    asked(served)
    page = open_page()
    page.get_by_role("link", name="web: ServiceDown").click()
    page.get_by_label("Note, for whoever reads this").fill("on my way <b>")
    page.get_by_role("button", name="I take it: acknowledge").click()
    expect(page.locator("#part-head")).to_contain_text("acknowledged by ann (console) at")
    expect(page.locator("#part-head")).to_contain_text("on my way <b>")


def test_it_is_stopped_in_two_clicks_and_goes_on(served: Served, open_page: Open) -> None:
    page, other = open_page(), open_page("vic")
    page.get_by_text("Stop the remediator").click()
    page.get_by_role("button", name="Stop now").click()
    expect(page.locator("#part-sum")).to_contain_text("Stopped")
    assert served.loop.kill_switch.paused() == "paused by ann (api): stopped from the console"
    expect(other.locator("#part-stop")).to_contain_text("paused by ann")
    page.get_by_role("button", name="Let it go on").click()
    expect(page.locator("#part-sum")).to_contain_text("Not stopped")
    assert served.loop.kill_switch.paused() is None


def test_an_entry_is_tried_out_and_run(served: Served, open_page: Open) -> None:
    page = open_page()
    page.get_by_role("link", name="Runbook").click()
    page.get_by_role("link", name="restart-db", exact=True).click()
    page.get_by_role("link", name="Try it out on db").click()
    expect(page.get_by_text("nothing was touched")).to_be_visible()
    assert served.loop.incidents() == []
    page.get_by_label("Why, for whoever reads this").fill("a drill")
    page.get_by_role("button", name="Run it now").click()
    expect(page.get_by_text("ann ordered restart-db")).to_be_visible()
    with marked(page):
        served.loop.turn()
        expect(page.locator("[id^=part-run]")).to_contain_text("ordered by ann")
    assert served.loop.actions["restart-db"].runs == ["db"]


def test_history_is_searched(served: Served, open_page: Open) -> None:
    served.loop.told(DOWN, FULL)
    served.loop.turn()
    page = open_page()
    page.get_by_role("link", name="History").click()
    page.get_by_label("Target").select_option("cache")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#part-history tbody tr")).to_have_count(1)
    expect(page.locator("#part-history")).to_contain_text("CacheFull")


# -- what is refused -------------------------------------------------------------------------


def test_a_viewer_sees_everything_and_orders_nothing(served: Served, open_page: Open) -> None:
    asked(served)
    page = open_page("vic")
    expect(page.get_by_text("Only an operator may answer.")).to_be_visible()
    for name in ("Approve: do exactly this", "Stop now", "I take it: acknowledge 1"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    sent = page.evaluate(
        """async () => {
             const token = document.querySelector("[name=token]").value;
             const body = new URLSearchParams({token, reason: "x"});
             return (await fetch("/console/pause", {method: "POST", body})).status;
           }"""
    )
    assert sent == 403
    assert served.loop.kill_switch.paused() is None


def test_an_approval_that_is_over_is_refused(served: Served, open_page: Open) -> None:
    asked(served)
    page = open_page("", java_script_enabled=False)  # it stays as it was
    log_in(page, served.url, "ann")
    served.loop.pass_seconds(3600)
    page.get_by_role("button", name="Approve: do exactly this").click()
    expect(page.get_by_role("heading", name="Refused: nothing was done")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("it is too late")
    served.loop.turn()
    assert served.loop.actions["restart"].runs == []


def test_a_forged_token_is_refused(served: Served, open_page: Open) -> None:
    asked(served)
    page = open_page()
    forge_and_press(page, "#approve-1")
    expect(page.get_by_role("alert")).to_contain_text("another site sent it")
    served.loop.turn()
    assert served.loop.actions["restart"].runs == []


@contextmanager
def another_site(body: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body.encode())

        @override
        def log_message(self, *arguments: object) -> None: ...

    with serve(Handler) as url:
        yield url.replace("127.0.0.1", "localhost")  # another site than the console's address


def test_a_form_of_another_site_does_nothing(served: Served, open_page: Open) -> None:
    page = open_page()
    form = (
        f'<form method="post" action="{served.url}/pause"><input name="reason" value="x">'
        "<button>Win</button></form>"
    )
    with another_site(form) as url:
        page.goto(url)
        page.get_by_role("button", name="Win").click()
        expect(page.get_by_role("alert")).to_contain_text("nothing was done")
    assert served.loop.kill_switch.paused() is None


def test_a_link_in_a_chat_leads_into_the_session(served: Served, open_page: Open) -> None:
    asked(served)
    page = open_page()
    with another_site(f'<a href="{served.url}/incidents/1">the incident</a>') as url:
        page.goto(url)
        page.get_by_role("link").click()
        page.wait_for_url(f"{served.url}/incidents/1")
        expect(page.get_by_role("heading", name="Incident 1: web: ServiceDown")).to_be_visible()


# -- how it behaves --------------------------------------------------------------------------


def test_what_one_types_or_has_opened_stays(served: Served, open_page: Open) -> None:
    page = open_page()
    with marked(page):
        page.get_by_text("Stop the remediator").click()
        page.get_by_label("Why").first.fill("half a sen")
        served.loop.orders.begin_maintenance(
            "db", "bob", "x", served.loop.pass_seconds(1), served.loop.clock()
        )
        asked(served)
        expect(page.get_by_role("heading", name="Waits for you")).to_be_visible()
        expect(page.get_by_label("Why").first).to_have_value("half a sen")
        expect(page.get_by_role("button", name="Stop now")).to_be_visible()


def test_a_page_that_gets_no_answer_says_so(served: Served, open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#pulse")).to_have_text("Live: changes show by themselves.")
    page.context.set_offline(True)
    expect(page.locator("#pulse")).to_contain_text("No answer since")
    page.context.set_offline(False)
    expect(page.locator("#pulse")).to_have_text("Live: changes show by themselves.")


def test_a_session_that_ends_leads_to_the_login_and_back(served: Served, open_page: Open) -> None:
    page = open_page()
    page.goto(f"{served.url}/history")
    served.loop.pass_seconds(13 * 3600)
    page.wait_for_url(re.compile("/login"))
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{served.url}/history")


def test_it_works_without_javascript(served: Served, open_page: Open) -> None:
    asked(served)
    page = open_page("", java_script_enabled=False)
    log_in(page, served.url, "ann")
    expect(page.get_by_text("Without JavaScript this page stands still.")).to_be_visible()
    page.get_by_role("button", name="Approve: do exactly this").click()
    expect(page.get_by_text("Run 1 is approved.")).to_be_visible()
    page.get_by_text("Stop the remediator").click()
    page.get_by_role("button", name="Stop now").click()
    expect(page.locator("#part-sum")).to_contain_text("Stopped")


def test_it_is_worked_with_the_keyboard_alone(served: Served, open_page: Open) -> None:
    asked(served)
    page = open_page()
    press_until(page, "approve-1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Run 1 is approved.")).to_be_visible()


def press_until(page: Page, name: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == name:
            return
    raise AssertionError(f"no Tab leads to {name}")


def test_the_focus_stays_where_it_is(served: Served, open_page: Open) -> None:
    asked(served)
    page = open_page()
    page.locator("#deny-1").focus()
    with marked(page):
        served.loop.pass_seconds(120)
        expect(page.locator("#part-asks")).to_contain_text("13 min left")
        assert page.evaluate("document.activeElement.id") == "deny-1"
