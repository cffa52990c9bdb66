"""Who is on call, as the console says it.

Rule: pure; nobody on call, and a rota that cannot be used, look as bad as they are.
"""

from datetime import datetime
from typing import NamedTuple

from remediator.oncall import Rota, Turn
from remediator.web.console.words import clock


class Duty(NamedTuple):
    """`kind` as in `words.Mark`. `then`: whose turn is next."""

    kind: str
    word: str
    detail: str
    then: str = ""


def duty(rota: Rota | None, now: datetime) -> Duty:
    """`rota`: None when its file cannot be used."""
    if rota is None:
        return Duty("bad", "On call: not known", "the rota cannot be used; the log says why")
    turn, later = rota.turn(now), rota.after(now)
    if turn is None:
        begins = f"it begins at {clock(rota.starts, now)}" if later else "it has ended"
        return Duty("bad", "Nobody is on call", f"the rota covers no such time: {begins}")
    then = f"then {_named(later[0], rota)}" if later else "then nobody: the rota ends"
    return Duty("off", _named(turn, rota), f"on call until {clock(turn.end, now)}", then)


def _named(turn: Turn, rota: Rota) -> str:
    return rota.teams[turn.team] + (f" ({turn.why})" if turn.why else "")
