"""The console's pages: what happens now, an incident, the runbook, the history.

Rule: a page reads; the same template gives the whole of it and, to a page that is open
already, the part that changes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, g, redirect, render_template, request, url_for

from remediator import operate, postmortem
from remediator.notices import clock
from remediator.operate import Desk, Wanted
from remediator.web.console import words
from remediator.web.console.duty import Duty, duty
from remediator.web.console.handbook import handbook

if TYPE_CHECKING:
    from remediator.web import Parts

ON_HOME = 20
ON_HISTORY = 50
TRIED = 4

Story = Mapping[str, Any]


def add(routes: Blueprint, parts: "Parts") -> None:
    desk = parts.desk
    _now(routes, desk, parts)
    _incidents(routes, desk, parts)
    _entries(routes, desk)

    @routes.get("/runbooks/<alert>")
    def page(alert: str) -> Response:
        found = handbook().get(alert)
        if found is None:
            abort(404, f"There is no runbook page about {alert}.")
        return _answer("handbook.html", page=found)


def _now(routes: Blueprint, desk: Desk, parts: "Parts") -> None:
    @routes.get("/")
    def home() -> Response:
        status = operate.status(desk)
        found = operate.incidents(desk, Wanted(state="open", limit=ON_HOME))["incidents"]
        running, asked = operate.running(desk), operate.approvals(desk)
        on_call = duty(parts.on_call(), desk.clock()) if parts.on_call else None
        return _answer(
            "home.html",
            status=status,
            incidents=found,
            running=running,
            approvals=asked,
            on_call=on_call,
            summary=list(_summary(status, found, running, asked, on_call)),
        )


def _summary(
    status: Mapping[str, Any],
    found: Sequence[Story],
    running: Sequence[Story],
    asked: Sequence[Story],
    on_call: Duty | None,
) -> Iterator[Mapping[str, object]]:
    """What one sees in ten seconds: broken, asked, done now, stopped or not, blind or not."""
    count = status["open_incidents"]
    taken = all(story["acknowledged"] for story in found)
    targets = ", ".join(dict.fromkeys(story["target"] for story in found))
    yield (
        _tile("wait" if taken else "bad", f"{count} broken", targets)
        if count
        else _tile("good", "Nothing is broken", "no open incident")
    )
    calls = sum(1 for story in found if story["now"]["status"] == "needs a human")
    if asked:
        soonest = words.left(asked[0]["expires_at"], g.now)
        yield _tile("wait", f"{len(asked)} to approve", soonest)
    elif calls:
        yield _tile("bad", f"{calls} for a human", "the machine does not mend it")
    else:
        yield _tile("good", "Nothing waits for you", "no approval is asked for")
    doing = ", ".join(f"{run['runbook']} on {run['target']}" for run in running)
    yield (
        _tile("run", f"{len(running)} running", doing)
        if running
        else _tile("off", "Nothing runs", "no run has begun")
    )
    if status["pauses"]:
        pause = status["pauses"][0]
        yield _tile("bad", "Stopped", f"by {pause['by']}: {words.plain(pause['reason'])}")
    else:
        yield _tile(
            "off" if status["mode"] == "observe" else "good",
            "Not stopped",
            f"mode {status['mode']}",
        )
    broken = [link for link in status["health"] if link["ok"] is False]
    yield (
        _tile("bad", f"Chain broken: {broken[0]['link']}", words.plain(broken[0]["detail"]))
        if broken
        else (_tile("good", "Chain works", "alerts arrive, Prometheus answers"))
    )
    if on_call:
        yield _tile(on_call.kind, on_call.word, on_call.detail)


def _tile(kind: str, word: str, detail: str) -> Mapping[str, object]:
    return {"mark": words.Mark(kind, words.SHAPES[kind], word), "detail": detail}


def _incidents(routes: Blueprint, desk: Desk, parts: "Parts") -> None:
    @routes.get("/incidents/<int:number>")
    def incident(number: int) -> Response:
        story = _story(desk, number)
        names = dict.fromkeys(alert["name"] for alert in story["alerts"])
        pages = [handbook()[name] for name in names if name in handbook()]
        asked = [one for one in operate.approvals(desk) if one["incident_id"] == number]
        draft = "" if g.live else _draft(story, parts)
        return _answer("incident.html", story=story, pages=pages, approvals=asked, draft=draft)

    @routes.get("/incidents/<int:number>/postmortem.md")
    def postmortem_of(number: int) -> Response:
        answer = Response(_draft(_story(desk, number), parts), mimetype="text/markdown")
        answer.headers["Content-Disposition"] = f"attachment; filename=incident-{number}.md"
        return answer

    @routes.get("/history")
    def history() -> Response:
        asked = {key: request.args.get(key, "")[:100] for key in _FILTERS}
        found = operate.incidents(desk, _filter(asked))
        older = None
        if found["next"] is not None:
            given = {key: value for key, value in asked.items() if value}
            older = url_for("console.history", **{**given, "before": found["next"]})
        return _answer(
            "history.html",
            asked=asked,
            incidents=found["incidents"],
            next_page=older,
            status=operate.status(desk),
        )


_FILTERS = ("state", "entry", "target", "since", "text", "before")


def _filter(asked: Mapping[str, str]) -> Wanted:
    """What cannot be read filters nothing."""
    since = None
    if asked["since"]:
        try:
            since = datetime.fromisoformat(asked["since"]).replace(tzinfo=UTC)
        except ValueError:
            abort(400, f"{asked['since']!r} is no day; write it like 2026-01-31.")
    return Wanted(
        state=asked["state"] if asked["state"] in {"open", "closed"} else "",  # type: ignore[arg-type]
        entry=asked["entry"],
        target=asked["target"],
        since=since,
        text=asked["text"],
        limit=ON_HISTORY,
        **({"before": int(asked["before"])} if re.fullmatch(r"\d{1,15}", asked["before"]) else {}),
    )


def _entries(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/entries")
    def entries() -> Response:
        return _answer("entries.html", entries=operate.entries(desk))

    @routes.get("/entries/<entry>")
    def entry(entry: str) -> Response:
        found = next((one for one in operate.entries(desk) if one["id"] == entry), None)
        if found is None:
            abort(404, f"The runbook has no entry {entry}.")
        own = {place["target"] for place in found["targets"]}
        others = [key for key in found["may_run_on"] if key not in own]
        return _answer("entry.html", entry=found, other_targets=others)

    @routes.get("/entries/<entry>/try")
    def try_out_on(entry: str) -> Response:
        target = request.args.get("target", "")
        return redirect(url_for("console.try_out", entry=entry, target=target), 303)  # type: ignore[return-value]

    @routes.get("/entries/<entry>/<target>")
    def try_out(entry: str, target: str) -> Response:
        told = operate.explain_order(desk, entry, target, g.person.name)
        return _answer("tryout.html", told=told)


def _story(desk: Desk, number: int) -> Mapping[str, Any]:
    story = operate.incident(desk, number)
    if story is None:
        abort(404, f"There is no incident {number}.")
    return story


def _draft(story: Story, parts: "Parts") -> str:
    url = f"{parts.external_url.rstrip('/')}{url_for('console.incident', number=story['id'])}"
    return postmortem.render(story, url)


def _answer(template: str, **values: object) -> Response:
    """Whole, or what has changed of it: 304 when nothing has."""
    answer = Response(render_template(template, **values))
    if g.live:
        answer.add_etag(weak=True)
        answer.make_conditional(request)
    return answer


# -- what the templates call ----------------------------------------------------------------


def alerts_of(story: Story) -> str:
    names = list(dict.fromkeys(alert["name"] for alert in story["alerts"]))
    return ", ".join(names) or "ordered by a human"


def tried(story: Story) -> Iterator[str]:
    """A line for each of the last runs that did something or may not."""
    runs = [run for run in story["runs"] if run["steps"]]
    for run in runs[-TRIED:]:
        steps = ", ".join(
            f"{step['action']} ({step['outcome'] or 'under way'})" for step in run["steps"]
        )
        ended = f" at {clock(run['ended_at'])}" if run["ended_at"] else ""
        yield words.plain(f"Tried {run['runbook']}: {steps}: {words.words(run['state'])}{ended}")


def lasted(story: Story) -> str:
    since = datetime.fromisoformat(story["opened_at"])
    until = datetime.fromisoformat(story["closed_at"]) if story["closed_at"] else g.now
    return words.lasting(max(until - since, timedelta(0)).total_seconds())


FILTERS: Mapping[str, Callable[..., Any]] = {
    "mark": words.mark,
    "words": words.words,
    "plain": words.plain,
    "lasting": words.lasting,
    "share": words.share,
    "parameters": words.parameters,
    "happened": words.happened,
    "evidence": words.evidence,
    "clock": lambda moment: words.clock(moment, g.now),
    "ago": lambda moment: words.ago(moment, g.now),
    "left": lambda moment: words.left(moment, g.now),
    "alerts_of": alerts_of,
    "tried": tried,
    "lasted": lasted,
    "has_page": lambda alert: alert in handbook(),
}
