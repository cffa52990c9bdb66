"""Who is on call, and who may open the console: by oncall.yml and the file of accounts.

Rule: `oncall check` says the same, in the same words.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from remediator.checkup.documents import Finding, Marked, Unreadable, read
from remediator.checkup.sources import Sources
from remediator.config_mistakes import ConfigError
from remediator.config_oncall import Oncall, load_oncall
from remediator.oncall import Rota
from remediator.oncall_intervals import BEGIN, COVERED, END, compiled, interval_of, replaced
from remediator.web.console.accounts import BadAccounts, read_accounts

LASTS = timedelta(days=28)
"""A rota that ends sooner is one to be gone on with now."""


def rota(sources: Sources) -> Iterator[Finding]:
    document = sources.oncall
    if document is None:
        return
    try:
        own = load_oncall(Path(document.file))
    except ConfigError as error:
        for mistake in error.mistakes:
            yield Finding(document.file, document.line_of(mistake.path), str(mistake))
        return
    for sentence in gaps(own.rota, sources.now, LASTS):
        yield document.get("ends").finding(sentence)
    alertmanager = sources.alertmanager
    if alertmanager is None:
        return
    for sentence in uncompiled(own, Path(alertmanager.file).read_text(encoding="utf-8")):
        yield alertmanager.get("time_intervals").finding(sentence)
    for sentence in unheard(own.rota, alertmanager.get("route")):
        yield alertmanager.get("route").finding(sentence)


def accounts(sources: Sources) -> Iterator[Finding]:
    path = sources.accounts
    if path is None:
        return
    try:
        known = read_accounts(path)
    except BadAccounts as error:
        yield Finding(str(path), _line(path, error.keys), str(error))
        return
    if not known:
        yield Finding(str(path), 1, "holds no account: nobody can open the console")


def _line(path: Path, keys: tuple[str, ...]) -> int:
    try:
        return read(path).get(*keys).line
    except Unreadable:
        return 0


# -- what is wrong with a rota ----------------------------------------------------------------


def gaps(rota: Rota, now: datetime, wanted: timedelta) -> Iterator[str]:
    """Within the rota there are none by the way it is made: its two ends are looked at."""
    if now < rota.starts:
        yield f"nobody is on call until {local(rota.starts, rota)}: begin the rota earlier"
    elif now >= rota.ends:
        yield f"nobody is on call since {local(rota.ends, rota)}: set a later end"
    elif rota.ends - now < wanted:
        left = (rota.ends - now).days
        yield f"the rota ends {local(rota.ends, rota)}, in {left} days: set a later end"


def uncompiled(own: Oncall, alertmanager: str) -> Iterator[str]:
    """`alertmanager`: the text of its file."""
    new = replaced(alertmanager, compiled(own.rota, own.zone_name))
    if new is None:
        yield f"must hold these two lines, once: {BEGIN!r} and {END!r}"
    elif new != alertmanager:
        yield "the time intervals are not what the rota says: run oncall compile"


def unheard(rota: Rota, route: Marked) -> Iterator[str]:
    """Teams, and the time without one, that no route is for."""
    every = list(_routes(route))
    asked = {name.text for one in every for name in one.get("active_time_intervals").each}
    for team in rota.teams:
        if interval_of(team) not in asked:
            yield f"no route asks for {interval_of(team)}: {team} is never paged"
    muted = {name.text for one in every for name in one.get("mute_time_intervals").each}
    if COVERED not in muted:
        yield f"no route is for the time without rota (mute {COVERED})"


def local(moment: datetime, rota: Rota) -> str:
    return f"{moment.astimezone(rota.zone):%a %Y-%m-%d %H:%M %Z}"


def _routes(route: Marked) -> Iterator[Marked]:
    yield route
    for child in route.get("routes").each:
        yield from _routes(child)
