"""Whether what the configuration names answers now, and Prometheus knows the rules.

Rule: one request each, read only; whatever it is that fails is a finding at the key that names it.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from remediator.checkup.documents import Finding, Marked
from remediator.checkup.own import here
from remediator.checkup.sources import Sources
from remediator.journal import JournalUnavailable

TIMEOUT_SECONDS = 5.0
ASKED = (
    ("prometheus", "/-/ready"),
    ("alertmanager", "/-/ready"),
    ("exporter", "/-/healthy"),
)


def reachable(sources: Sources, _: Path | None) -> Iterator[Finding]:
    for key, path in ASKED:
        url = sources.of(key).get("url")
        yield from _answers(url, url.text.rstrip("/") + path, key)
    docker = sources.of("docker").get("url")
    yield from _answers(docker, f"{engine_base(docker.text)}/_ping", "the engine", docker.text)


def engine_base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return "http://engine"
    return f"{'http' if parts.scheme == 'tcp' else parts.scheme}://{parts.netloc}"


def client(url: str) -> httpx.Client:
    """For an engine's URL, or any other."""
    parts = urlsplit(url)
    transport = httpx.HTTPTransport(uds=parts.path) if parts.scheme == "unix" else None
    return httpx.Client(transport=transport, timeout=TIMEOUT_SECONDS, trust_env=False)


def journal(sources: Sources, secrets: Path | None) -> Iterator[Finding]:
    """A shared one takes this user; the file is the remediator's own."""
    section = sources.of("journal")
    url, password = section.get("url"), section.get("password_file").text
    if not url.text:
        return
    from remediator.journal.session import Address, Session  # noqa: PLC0415 - rarely wanted

    file = here(password, secrets) if password else None
    asking = Session(Address(url.text, "check", file), owns_name=False)
    try:
        with closing(asking), asking.turn() as connection:
            connection.execute("SELECT 1")
    except JournalUnavailable as error:
        yield url.finding(str(error))


def _answers(at: Marked, url: str, who: str, behind: str = "") -> Iterator[Finding]:
    if not at.text:
        return
    try:
        with client(behind or url) as asking:
            answer = asking.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield at.finding(f"{who} at {at.text} does not answer: {error!r}")
        return
    if not answer.is_success:
        yield at.finding(f"{who} at {at.text} says {answer.status_code}")


def loaded(sources: Sources, _: Path | None) -> Iterator[Finding]:
    """Prometheus has loaded each alert of the files."""
    at = sources.of("prometheus").get("url")
    if not at.text or not sources.rules:
        return
    try:
        with client(at.text) as asking:
            answer = asking.get(f"{at.text.rstrip('/')}/api/v1/rules", params={"type": "alert"})
            groups = answer.raise_for_status().json()["data"]["groups"]
        known = {rule["name"] for group in groups for rule in group["rules"]}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return  # that it does not answer is found already
    for rule in sources.alerts:
        if rule.alert not in known:
            yield rule.at.get("alert").finding(f"Prometheus has not loaded the rule {rule.alert}")
