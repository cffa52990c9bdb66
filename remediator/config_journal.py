"""The section of remediator.yml for a journal that several remediators share.

Rule: as in `config_values.py`; the password is never in the file.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from remediator.config_values import Name, Section
from remediator.durations import Seconds

_URL = re.compile(r"postgres(ql)?://[^\s:@/?#]+@[^\s@/?#]+/[^\s@/?#:]+(\?[^\s#]*)?")


def is_url(text: str) -> bool:
    """Or else a file."""
    return text.startswith(("postgres://", "postgresql://"))


def without_a_password(url: str) -> str:
    """Errors: ValueError."""
    if _URL.fullmatch(url) is None or "password=" in url:  # which is not shown: it may hold one
        raise ValueError(
            "must look like postgresql://<user>@<host>:<port>/<database>, without a password, "
            "which belongs into password_file"
        )
    return url


JournalUrl = Annotated[str, AfterValidator(without_a_password)]


class JournalSection(Section):
    url: JournalUrl
    """As `postgresql://<user>@<host>:<port>/<database>`; libpq's parameters may follow, such as
    `?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem`."""
    password_file: str | None = None
    """Holds the password, which is read again for each connection."""
    name: Name | None = None
    """Tells this remediator from the others; the name of its host where it is not written."""
    lease: Annotated[Seconds, Field(ge=5, le=3600)] = 30.0
    """For so long one must be silent before the others take over what it works on."""


def unfit_journal(
    raw: Mapping[str, object], servers: Mapping[str, tuple[str, int]]
) -> Iterator[tuple[str, str]]:
    """(path, problem). `servers`: the databases that are looked after, by their target."""
    journal = raw.get("journal")
    if ("state_file" in raw) == (journal is not None):
        yield "state_file", "write state_file, or journal where several remediators share one"
    console = raw.get("console")
    if journal is not None and isinstance(console, dict) and "key_file" not in console:
        yield "console.key_file", "is needed with a journal: the same key for all, for one login"
    url = journal.get("url") if isinstance(journal, dict) else None
    if not isinstance(url, str):
        return
    places = _places(url)
    for target, place in servers.items():
        if place in places:
            looked_after = "must stay when what is looked after falls"
            yield "journal.url", f"is the server of the target {target!r}; a journal {looked_after}"


def _places(url: str) -> set[tuple[str, int]]:
    """All that it names: libpq takes several hosts, with commas."""
    found = set()
    for place in urlsplit(url).netloc.rpartition("@")[2].split(","):
        host, _, port = place.partition(":")
        found.add((host, int(port) if port.isdigit() else 5432))
    return found
