"""The running remediator, as its commands ask it.

Rule: what it refuses is told in its own words. Exit status: 0 done, 1 refused, 2 it cannot
be asked.
"""

import functools
import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import httpx

from remediator.runs import VIA_HEADER, Via

REFUSED, UNREACHABLE = 1, 2
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Remediator:
    """Where it answers. `by`: who orders."""

    url: str
    token_file: Path
    by: str

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
        """What it says, as values of JSON; what is None or empty is not asked for."""
        asked = {key: value for key, value in query.items() if value not in (None, "", ())}
        return self.order("GET", f"{path}?{urlencode(asked, doseq=True)}" if asked else path)

    def ask(self, method: str, path: str, **order: object) -> httpx.Response:
        """Leaves the program when the remediator cannot be asked."""
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
            answer = httpx.request(
                method,
                f"{self.url.rstrip('/')}/api/v1{path}",
                headers={"Authorization": f"Bearer {token}", VIA_HEADER: Via.COMMAND.value},
                json={"by": self.by, **order} if method == "POST" else None,
                timeout=_TIMEOUT_SECONDS,
                trust_env=False,
            )
        except (OSError, UnicodeDecodeError, httpx.HTTPError, httpx.InvalidURL) as error:
            click.echo(f"cannot ask the remediator at {self.url}: {error}", err=True)
            raise SystemExit(UNREACHABLE) from None
        if answer.is_success or answer.status_code == httpx.codes.CONFLICT:
            return answer
        click.echo(f"the remediator says {answer.status_code}: {error_of(answer)}", err=True)
        raise SystemExit(UNREACHABLE)

    def order(self, method: str, path: str, **order: object) -> Any:  # noqa: ANN401 - JSON
        """Leaves the program with REFUSED when it may not be."""
        answer = self.ask(method, path, **order)
        if answer.is_success:
            return answer.json()
        click.echo(error_of(answer), err=True)
        raise SystemExit(REFUSED)


def error_of(answer: httpx.Response) -> str:
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
    @click.option(
        "--by", envvar="STACKMEDIC_BY", default=_me, help="Who orders it.  [default: the user]"
    )
    @functools.wraps(command)
    def with_remediator(url: str, token_file: Path, by: str, **options: object) -> None:
        try:
            command(Remediator(url, token_file, by), **options)
        except KeyError as error:
            click.echo(
                f"{url}: its answer lacks {error}: the remediator is of another version than this "
                "command; take the command of its image, or look with --json",
                err=True,
            )
            raise SystemExit(UNREACHABLE) from None

    return with_remediator


def _me() -> str:
    """Also in a container, whose user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
