"""The commands that talk to a running remediator: what a person or a deploy script orders.

Rule: each is one call of the API, with the token from its file; what the remediator refuses
is told in its own words. Exit status: 0 done, 1 refused, 2 the remediator cannot be asked.
"""

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx

REFUSED, UNREACHABLE = 1, 2
_TIMEOUT_SECONDS = 10.0
_ASK_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Remediator:
    """Where it answers. `by`: who orders."""

    url: str
    token_file: Path
    by: str

    def ask(self, method: str, path: str, **order: object) -> httpx.Response:
        """Leaves the program when the remediator cannot be asked."""
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
            answer = httpx.request(
                method,
                f"{self.url.rstrip('/')}/api/v1{path}",
                headers={"Authorization": f"Bearer {token}"},
                json={"by": self.by, **order} if method == "POST" else None,
                timeout=_TIMEOUT_SECONDS,
                trust_env=False,
            )
        except (OSError, UnicodeDecodeError, httpx.HTTPError, httpx.InvalidURL) as error:
            click.echo(f"cannot ask the remediator at {self.url}: {error}", err=True)
            raise SystemExit(UNREACHABLE) from None
        if answer.is_success or answer.status_code == httpx.codes.CONFLICT:
            return answer
        click.echo(f"the remediator says {answer.status_code}: {_error(answer)}", err=True)
        raise SystemExit(UNREACHABLE)

    def order(self, method: str, path: str, **order: object) -> Any:  # noqa: ANN401 - JSON
        """Leaves the program with REFUSED when it may not be."""
        answer = self.ask(method, path, **order)
        if answer.is_success:
            return answer.json()
        click.echo(_error(answer), err=True)
        raise SystemExit(REFUSED)


def _error(answer: httpx.Response) -> str:
    try:
        words = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        words = answer.text[:300].strip()
    return str(words)


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which remediator, and the Remediator they make."""

    @click.option(
        "--url", envvar="STACKMEDIC_URL", default="http://localhost:9181", show_default=True
    )
    @click.option(
        "--token-file",
        envvar="STACKMEDIC_TOKEN_FILE",
        type=click.Path(path_type=Path),
        default="/run/secrets/remediator_token",
        show_default=True,
    )
    @click.option("--by", envvar=["STACKMEDIC_BY", "USER"], required=True, help="Who orders it.")
    @functools.wraps(command)
    def with_remediator(url: str, token_file: Path, by: str, **options: object) -> None:
        command(Remediator(url, token_file, by), **options)

    return with_remediator


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
            click.echo(_error(answer), err=True)
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


COMMANDS: tuple[click.Command, ...] = (
    deploy_lock,
    approvals,
    _answering("approve", "Let the run be carried out as its plan was shown."),
    _answering("deny", "Do not let the run be carried out; nothing is tried in its place."),
)
