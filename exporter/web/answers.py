"""What is answered at each path: /metrics, /probe, /-/..., and a page for people.

Rule: nothing a client sends can widen what is asked of the targets: collect[], target and
module are looked up among the configured ones, and a module that sends secrets is used with
the targets that name it only.
"""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from exporter.collectors.history import History
from exporter.collectors.port import Clock, Shows
from exporter.exposition import CONTENT_TYPE, Encoder
from exporter.families import configuration, probes
from exporter.families import scrape as own
from exporter.readings import Probe
from exporter.scrape import Scrape, Scraper
from exporter.targets import Module, ProbeTarget
from exporter.web.pages import debug_page, landing_page

# Left of Prometheus' timeout for the way back; never more than half of a short one.
RESERVE_SECONDS = 0.5
LONGEST_SECONDS = 120.0
MOST_PARAMETERS = 100
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = _TEXT
    headers: tuple[tuple[str, str], ...] = ()
    more: tuple[bytes, ...] = ()  # of the body, which is never put together when it is long

    @property
    def parts(self) -> tuple[bytes, ...]:
        return (self.body, *self.more)


class Prober(Protocol):
    """What a probe's collector can do beside collect()."""

    history: History

    def probe(self, module: Module | None, deadline: float) -> Probe: ...


@dataclass(frozen=True, slots=True)
class InForce:
    """What the configuration in force says to the pages."""

    default_timeout: float
    modules: Mapping[str, Module]
    state: configuration.State


class Configuration(Protocol):
    def in_force(self) -> InForce: ...

    def reload(self) -> Sequence[str]:
        """Read the file again. The mistakes, if any: then the old one stays in force."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """A configuration that came from no file, for tests and benchmarks."""

    told: InForce

    def in_force(self) -> InForce:
        return self.told

    def reload(self) -> Sequence[str]:
        return ()


class Exporter:
    """The pages. Called by many threads at once."""

    def __init__(
        self, scraper: Scraper, configuration: Configuration, *, clock: Clock, version: str
    ) -> None:
        self._scraper = scraper
        self._configuration = configuration
        self._clock = clock
        self._version = version
        self._encoder = Encoder()
        self._encoding = threading.Lock()  # guards the encoder and the counter
        self._dropped = 0
        self._scraped = threading.Event()
        self._pages: dict[str, tuple[str, Callable[[Mapping[str, list[str]], str | None], Answer]]]
        self._pages = {
            "/": ("GET", lambda _, __: self.landing()),
            "/metrics": ("GET", self.metrics),
            "/probe": ("GET", self.probe),
            "/-/healthy": ("GET", lambda _, __: Answer(200, b"healthy\n")),
            "/-/ready": ("GET", lambda _, __: self.ready()),
            "/-/reload": ("POST", lambda _, __: self.reload()),
        }

    def answer(self, method: str, url: str, timeout_header: str | None) -> Answer:
        """One request. HEAD is as GET; url is the request's, not trusted."""
        try:
            path, query = _parsed(url)
        except ValueError:
            return Answer(400, b"this is not a request that can be understood\n")
        allowed, page = self._pages.get(path, ("", None))
        if page is None:
            return Answer(404, b"not found\n")
        if method not in {allowed, "HEAD" if allowed == "GET" else "PUT"}:
            allow = "GET, HEAD" if allowed == "GET" else "POST, PUT"
            return Answer(405, f"only {allow}\n".encode(), headers=(("Allow", allow),))
        return page(query, timeout_header)

    def metrics(self, query: Mapping[str, list[str]], header: str | None) -> Answer:
        only = query.get("collect[]", [])
        unknown = sorted(set(only) - set(self._scraper.names))
        if unknown:
            return _refusal(f"unknown collector: {', '.join(unknown)}")
        done = self.scrape(header, only)
        state = self._configuration.in_force().state
        with self._encoding:
            main = self._encoder.encode(done.families)
            self._dropped += main.dropped
            tail = self._encoder.encode(
                [*configuration.families(state), *own.exporter(self._version, self._dropped)]
            )
        return Answer(200, b"", CONTENT_TYPE, more=(*main.parts, *tail.parts))

    def scrape(self, header: str | None = None, only: Sequence[str] = ()) -> Scrape:
        done = self._scraper.scrape(self._budget(header), only)
        self._scraped.set()
        return done

    def probe(self, query: Mapping[str, list[str]], header: str | None) -> Answer:
        name, wanted = (query.get(key, [""])[0] for key in ("target", "module"))
        found = {o.target.name: o for o in self._scraper.opened() if o.name == "probes"}.get(name)
        if found is None:
            return _refusal(f"unknown target: {name}")
        target: ProbeTarget = found.target
        module = self._configuration.in_force().modules.get(wanted or target.module.name)
        if module is None:
            return _refusal(f"unknown module: {wanted}")
        if module.header_files and module.name != target.module.name:
            return _refusal(f"module {wanted} sends secrets, and {name} does not name it")
        prober: Prober = found.collector  # type: ignore[assignment]  # the table says so
        reading = prober.probe(module, self._clock() + self._budget(header))
        with self._encoding:
            body = self._encoder.encode(probes.single(reading)).body
        if query.get("debug", [""])[0] in {"true", "1"}:
            body = debug_page(target, prober.history.results(), body)
            return Answer(200, body)
        return Answer(200, body, CONTENT_TYPE)

    def ready(self) -> Answer:
        if not self._scraped.is_set():
            return Answer(503, b"not ready: the first scrape is not done\n")
        return Answer(200, b"ready\n")

    def reload(self) -> Answer:
        errors = self._configuration.reload()
        if errors:
            text = "not reloaded, the old configuration stays in force:\n" + "\n".join(errors)
            return Answer(500, f"{text}\n".encode("utf-8", "replace"))
        return Answer(200, b"reloaded\n")

    def landing(self) -> Answer:
        state = self._configuration.in_force().state
        states = self._scraper.states()
        collectors = [opened.collector for opened, _ in states]
        recurring = [e for c in collectors if isinstance(c, Shows) for e in c.recurring()]
        page = landing_page(self._version, state, states, recurring)
        return Answer(200, page, "text/html; charset=utf-8")

    def _budget(self, header: str | None) -> float:
        return budget_of(header, self._configuration.in_force().default_timeout)


@lru_cache(maxsize=16)  # a scraper asks the same each time
def _parsed(url: str) -> tuple[str, Mapping[str, list[str]]]:
    """Path and query. Errors: ValueError."""
    parts = urlsplit(url)
    return parts.path, parse_qs(parts.query, max_num_fields=MOST_PARAMETERS)


def _refusal(text: str) -> Answer:
    return Answer(400, f"{text[:200]}\n".encode("utf-8", "replace"))


def budget_of(header: str | None, default: float) -> float:
    """Seconds a scrape may take, from Prometheus' own timeout. Nonsense counts as absent."""
    try:
        seconds = float(header) if header else default
    except ValueError:
        seconds = default
    if not math.isfinite(seconds) or seconds <= 0:
        seconds = default
    seconds = min(seconds, LONGEST_SECONDS)
    return max(seconds - RESERVE_SECONDS, seconds / 2)
