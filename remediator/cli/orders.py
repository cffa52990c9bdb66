"""What a person or a deploy script orders of a running remediator.

Rule: each command is one call of the API, with the token from its file.
"""

import json
import time
from collections.abc import Iterator

import click

from remediator.cli.asking import REFUSED, Remediator, asking, error_of
from remediator.cli.looking import Json, as_json, say
from remediator.cli.tables import clock, plain, steps

_ASK_AGAIN_SECONDS = 2.0


@click.group("deploy-lock")
def deploy_lock() -> None:
    """While it is held the remediator begins nothing; a deploy script takes and releases it."""


@deploy_lock.command("take")
@click.option("--reason", required=True, help="What is deployed.")
@click.option(
    "--minutes", type=click.IntRange(1, 240), default=30, show_default=True,
    help="It ends by itself after so long.",
)  # fmt: skip
@click.option(
    "--wait", type=click.IntRange(min=0), default=0, show_default=True,
    help="Seconds to wait for a run or another deployment to end.",
)  # fmt: skip
@asking
def take(remediator: Remediator, reason: str, minutes: int, wait: int) -> None:
    """Take the lock; fails while a run works or another deployment holds it."""
    until = time.monotonic() + wait
    order = {"reason": reason, "minutes": minutes}
    while (answer := remediator.ask("POST", "/deploy-lock", **order)).is_error:
        if time.monotonic() >= until:
            click.echo(error_of(answer), err=True)
            raise SystemExit(REFUSED)
        time.sleep(_ASK_AGAIN_SECONDS)
    click.echo(f"held until {answer.json()['last']['until']}")


@deploy_lock.command("release")
@asking
def release(remediator: Remediator) -> None:
    """Release the lock, whoever took it."""
    last = remediator.order("POST", "/deploy-lock/release")["last"]
    click.echo(f"released; {last['by']} had it since {last['at']}")


@deploy_lock.command("show")
@asking
def show(remediator: Remediator) -> None:
    """Say who holds it; the exit status is 1 when nobody does."""
    found = remediator.order("GET", "/deploy-lock")
    if not found["held"]:
        click.echo("not held")
        raise SystemExit(REFUSED)
    last = found["last"]
    click.echo(f"held by {last['by']} until {last['until']}: {last['reason']}")


@click.group()
def maintenance() -> None:
    """While humans work on a target, or on everything, nothing is begun there."""


@maintenance.command("begin")
@click.option("--target", help="A key of the topology; without it everything.")
@click.option("--reason", required=True, help="What is done.")
@click.option(
    "--minutes", type=click.IntRange(1, 240), default=60, show_default=True,
    help="It ends by itself after so long.",
)  # fmt: skip
@asking
def begin(remediator: Remediator, target: str | None, reason: str, minutes: int) -> None:
    """Keep the remediator out; a run that works there ends before its next step."""
    order = {"reason": reason, "minutes": minutes} | ({"target": target} if target else {})
    say(_works(remediator.order("POST", "/maintenance", **order)))


@maintenance.command("end")
@click.argument("number", type=int)
@asking
def end(remediator: Remediator, number: int) -> None:
    """Let it in again."""
    say(_works(remediator.order("POST", f"/maintenance/{number}/end")))


@maintenance.command("show")
@asking
def show_maintenance(remediator: Remediator) -> None:
    """Say who works where."""
    say(_works(remediator.get("/maintenance")))


def _works(found: Json) -> Iterator[str]:
    for work in found["maintenance"]:
        where = (
            f"{work['id']}: {plain(work['by'])} works on {plain(work['target'] or 'everything')}"
        )
        yield f"{where} until {clock(work['until'])}: {plain(work['reason'])}"
    if not found["maintenance"]:
        yield "nobody works on anything"


@click.command("reset-breaker")
@click.argument("entry")
@click.option("--target", required=True, help="A key of the topology.")
@asking
def reset_breaker(remediator: Remediator, entry: str, target: str) -> None:
    """Let an entry be tried on a target again, after you have looked why it did not help."""
    remediator.order("POST", "/breakers/reset", runbook=entry, target=target)
    click.echo(f"{entry} may be tried on {target} again")


@click.command()
@as_json
@asking
def approvals(remediator: Remediator, *, raw: bool) -> None:
    """What waits for a human's word, with the exact plan and why it is asked."""
    found = remediator.get("/approvals")
    if raw:
        click.echo(json.dumps(found, indent=2))
        return
    for asked in found["approvals"]:
        say(_question(asked))
    if not found["approvals"]:
        click.echo("nothing waits")


def _question(asked: Json) -> Iterator[str]:
    what = f"run {asked['run_id']}: {plain(asked['runbook'])} on {plain(asked['target'])}"
    left = f"{asked['seconds_left'] / 60:.0f} min left"
    yield f"{what}, plan {asked['plan_hash']}, until {clock(asked['expires_at'])} ({left})"
    yield from steps(asked["plan"]["steps"])
    for alert in asked["alerts"]:
        yield f"  because {plain(alert['name'])} fires since {clock(alert['starts_at'])}"
    for run in asked["tried"]:
        yield f"  tried before: {plain(run['runbook'])}: {run['state']}: {plain(run['detail'])}"
    yield f"  more: show {asked['incident_id']}"


def _answering(name: str, help_text: str) -> click.Command:
    @click.command(name, help=help_text)
    @click.argument("run", type=int)
    @click.argument("plan_hash")
    @asking
    def answer(remediator: Remediator, run: int, plan_hash: str) -> None:
        said = remediator.order("POST", f"/approvals/{run}", decision=name, plan_hash=plan_hash)
        click.echo(f"run {run} is {said['decision']} by {said['by']}")

    return answer


approve = _answering("approve", "Let the run be carried out as its plan was shown.")
deny = _answering("deny", "Do not let the run be carried out; nothing is tried in its place.")
