"""What a person or a deploy script orders of a running remediator.

Rule: each command is one call of the API, with the token from its file.
"""

import json
import time

import click

from remediator.cli.asking import REFUSED, Remediator, asking, error_of

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


@click.command()
@asking
def approvals(remediator: Remediator) -> None:
    """What waits for a human's word, with the exact plan."""
    for asked in remediator.order("GET", "/approvals")["approvals"]:
        click.echo(
            f"run {asked['run_id']}: {asked['runbook']} on {asked['target']}, "
            f"plan {asked['plan_hash']}, until {asked['expires_at']}"
        )
        for step in asked["plan"]["steps"]:
            parameters = json.dumps(step["with"])
            click.echo(f"  {step['id']}: {step['action']} {parameters}, {step['repeat']}")


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
