"""Writes a GitHub issue about an incident that was not mended or came back.

Rule: at most one for an incident, ever: before it is created, the repository is searched for
its hidden mark, because a crash may have come between creating and writing that down. None
of this is in the way of any run.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from remediator import postmortem
from remediator.journal import Issues, Records
from remediator.journal.issues import Due
from remediator.ports import Permanent, RemediationError, Transient

_TIMEOUT_SECONDS = 10.0
PER_PAGE = 50
PAGES = 10
MAX_BODY_CHARS = 60_000  # GitHub takes 65,536
TRIES = 20
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
_RATE_LIMITED = (403, 429)
_NEVER = (410, 422)  # issues are switched off, or this one is refused as it is

log = logging.getLogger(__name__)


class Later(Transient):
    """GitHub says when it may be asked again."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class Github:
    """The issues of one repository. The token goes to this API and nowhere else."""

    def __init__(
        self, api_url: str, repository: str, token_file: Path, clock: Callable[[], datetime]
    ) -> None:
        self._path = f"/repos/{repository}/issues"
        self._token_file = token_file
        self._clock = clock
        self._client = httpx.Client(
            base_url=api_url,
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
            headers={
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
                "User-Agent": "stackmedic",
            },
        )

    def find(self, first_line: str, since: str) -> str | None:
        """The address of the issue whose body begins so. Errors: Transient, Permanent."""
        asked = {"state": "all", "since": since, "sort": "created", "per_page": str(PER_PAGE)}
        for page in range(1, PAGES + 1):
            found = self._ask("GET", params=asked | {"page": str(page)})
            if not isinstance(found, list):
                raise Transient("GitHub's list of issues is no list")
            for issue in found:
                if isinstance(issue, dict) and str(issue.get("body")).startswith(first_line):
                    return str(issue.get("html_url"))
            if len(found) < PER_PAGE:
                return None
        raise Transient(f"{PAGES * PER_PAGE} issues were looked through, and there are more")

    def create(self, title: str, body: str) -> str:
        """The new issue's address. Errors: Transient, Permanent."""
        made = self._ask("POST", json={"title": title, "body": body})
        return str(made.get("html_url")) if isinstance(made, dict) else ""

    def close(self) -> None:
        self._client.close()

    def _ask(self, method: str, **request: Any) -> object:  # noqa: ANN401 - httpx's arguments
        try:
            token = self._token_file.read_text(encoding="ascii").strip()
            headers = {"Authorization": f"Bearer {token}"}
            answer = self._client.request(method, self._path, headers=headers, **request)
        except (OSError, ValueError) as error:
            raise Transient(f"{self._token_file} holds no token: {error}") from error
        except httpx.HTTPError as error:
            raise Transient(f"cannot reach GitHub: {type(error).__name__}") from error
        if not answer.is_success:
            raise self._refusal(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise Transient("GitHub's answer is not JSON") from error

    def _refusal(self, answer: httpx.Response) -> RemediationError:
        words = f"GitHub answers {answer.status_code}: {answer.text[:200]}"
        if answer.status_code in _NEVER:
            return Permanent(words)
        after = _seconds(answer.headers.get("Retry-After"))
        reset = _seconds(answer.headers.get("X-RateLimit-Reset"))
        if answer.status_code in _RATE_LIMITED:
            if after is not None:
                return Later(words, self._clock() + timedelta(seconds=after))
            if answer.headers.get("X-RateLimit-Remaining") == "0" and reset is not None:
                return Later(words, datetime.fromtimestamp(reset, UTC))
        return Transient(words)


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,10}", text) else None


@dataclass(slots=True)
class IssueWriter:
    """`turn` decides on what has closed, and writes what is due.

    `page_of`: where people find an incident.
    """

    issues: Issues
    records: Records
    github: Github
    page_of: Callable[[int], str]
    clock: Callable[[], datetime]
    _quiet_until: datetime = field(default=datetime.min.replace(tzinfo=UTC))

    def turn(self) -> None:
        """Errors: JournalUnavailable."""
        now = self.clock()
        for closed in self.issues.undecided(now):
            story = self.records.story(closed.incident_id)
            wanted = story is not None and (
                (closed.came_back and bool(story["alerts"]))
                or postmortem.deserves_issue(story) is not None
            )
            self.issues.decide(closed.incident_id, now, wanted=wanted)
        if now < self._quiet_until:
            return
        for due in self.issues.due(now):
            if not self._write(due, now):
                return

    def _write(self, due: Due, now: datetime) -> bool:
        """False when GitHub wants to be left alone."""
        try:
            url = self._find_or_create(due.incident_id)
        except Permanent as error:
            log.warning("no issue is written about incident %d: %s", due.incident_id, error)
            self.issues.end(due.incident_id, None, now)
        except RemediationError as error:
            return self._put_off(due, error, now)
        else:
            self.issues.end(due.incident_id, url, now)
        return True

    def _put_off(self, due: Due, error: RemediationError, now: datetime) -> bool:
        log.warning("the issue about incident %d must wait: %s", due.incident_id, error)
        until = now + min(FIRST_WAIT * 2 ** min(due.tries, 10), LONGEST_WAIT)
        if isinstance(error, Later):
            self._quiet_until = until = min(max(until, error.until), now + LONGEST_WAIT)
        if due.tries + 1 >= TRIES:
            self.issues.end(due.incident_id, None, now)
        else:
            self.issues.put_off(due.incident_id, until)
        return not isinstance(error, Later)

    def _find_or_create(self, incident_id: int) -> str | None:
        story = self.records.story(incident_id)
        if story is None:
            return None
        first_line = f"<!-- stackmedic incident {self.issues.mark(incident_id)} -->"
        found = self.github.find(first_line, f"{story['opened_at'][:19]}Z")
        if found is not None:
            return found
        room = MAX_BODY_CHARS - len(first_line) - 1
        page = self.page_of(incident_id)
        body = f"{first_line}\n{postmortem.render(story, page, room)}"
        return self.github.create(
            postmortem.title_of(story, postmortem.deserves_issue(story) or "recurred"), body
        )
