"""One scrape: every collector side by side, under one deadline.

Rule: success, duration and timeouts are emitted for each collector, whatever it does. One
that raises or is late never fails or delays the others past the deadline, and is not started
again while it still runs. Overlapping scrapes share the runs that are in flight. What only
reads this machine's memory runs in the scrape's own thread, and so does the last that waits, if
it is sure to be back in time: the interpreter runs one thread at a time, and handing it over
costs more than a small read does.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.collectors import Opened
from exporter.collectors.port import Clock, Instant, Punctual
from exporter.families import scrape as own
from exporter.families.metric import Families, Family, Row
from exporter.readings import Cause, Unreachable
from exporter.workers import Workers, tried

log = logging.getLogger(__name__)

# Taken from a collector's deadline so that "I ran out of time" still arrives in time.
_MARGIN_SHARE, _MARGIN_SECONDS = 0.1, 0.1
_CLOSING_SECONDS = 2.0


@dataclass(slots=True)
class Run:
    """One collect() in flight or done. The fields below done are set before it is."""

    began_at: float
    deadline: float
    done: threading.Event = field(default_factory=threading.Event)
    families: Families = ()
    error: str = ""
    duration_seconds: float = 0.0
    counted_late: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """One opened source with the run it is in, or its last one."""

    opened: Opened
    tells_instant: bool = field(init=False)
    tells_punctual: bool = field(init=False)
    run: Run | None = None
    last_error: str = ""
    last_outcome: own.Outcome | None = None

    def __post_init__(self) -> None:
        # Once: asking a protocol is slow.
        self.tells_instant = isinstance(self.opened.collector, Instant)
        self.tells_punctual = isinstance(self.opened.collector, Punctual)


@dataclass(frozen=True, slots=True)
class Scrape:
    families: Families
    outcomes: tuple[own.Outcome, ...]


class Scraper:
    def __init__(self, opened: Sequence[Opened], clock: Clock) -> None:
        self._jobs = [Job(item) for item in opened]
        self._clock = clock
        self._workers = Workers("collect")
        self._lock = threading.Lock()  # guards runs, errors and the counter
        self._timeouts: Counter[str] = Counter()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(job.opened.name for job in self._jobs))

    def states(self) -> list[tuple[Opened, own.Outcome | None]]:
        """Each opened source with how it fared last."""
        with self._lock:
            return [(job.opened, job.last_outcome) for job in self._jobs]

    def opened(self) -> list[Opened]:
        return [job.opened for job in self._jobs]

    def close(self) -> None:
        self.keep([])
        self._workers.close()

    def keep(self, opened: Collection[Opened]) -> None:
        """Close all but these. What is in flight is cancelled, and waited for a little."""
        with self._lock:
            kept = [job for job in self._jobs if any(job.opened is item for item in opened)]
            dropped = [job for job in self._jobs if job not in kept]
            self._jobs = kept
        for job in dropped:
            job.opened.collector.cancel()
        for job in dropped:
            if job.run is not None:
                job.run.done.wait(_CLOSING_SECONDS)
            job.opened.collector.close()

    def order(self, opened: Sequence[Opened]) -> None:
        """Run these from now on; one that is run already goes on as it is."""
        with self._lock:
            known = {id(job.opened): job for job in self._jobs}
            self._jobs = [known.get(id(item)) or Job(item) for item in opened]

    def scrape(self, budget: float, only: Collection[str] = ()) -> Scrape:
        """Collect within budget seconds. only: names of collectors, empty for all."""
        deadline = self._clock() + budget
        jobs = [job for job in self._jobs if not only or job.opened.name in only]
        # 1. Start every collector, or join the run that another scrape has in flight. Those
        #    that wait for a target start first, and wait while the others work.
        away, here = _divided(jobs)
        runs = {id(job): self._join(job, deadline, self._hand_over) for job in away}
        runs |= {id(job): self._join(job, deadline, self._work) for job in here}
        joined = [(job, runs[id(job)]) for job in jobs]
        # 2. Wait for all of them, never past the deadline.
        for _, run in joined:
            if run is not None and not run.done.is_set():
                run.done.wait(max(0.0, deadline - self._clock()))
        # 3. Take what there is, and say how each fared.
        families: list[Family | Row] = []
        outcomes: list[own.Outcome] = []
        for job, run in joined:
            found, outcome = self._take(job, run)
            families += found
            outcomes.append(outcome)
        families += own.collectors(outcomes, self._timeouts)
        return Scrape(tuple(families), tuple(outcomes))

    def _join(self, job: Job, deadline: float, start: Callable[[Job, Run], None]) -> Run | None:
        """The run to wait for; None when an earlier one is stuck past its deadline."""
        now = self._clock()
        with self._lock:
            run = job.run
            if run is not None and not run.done.is_set():
                return run if run.deadline > now else None
            run = job.run = Run(now, deadline)
        start(job, run)
        return run

    def _hand_over(self, job: Job, run: Run) -> None:
        self._workers.run(lambda: self._work(job, run))

    def _work(self, job: Job, run: Run) -> None:
        opened = job.opened
        margin = min(_MARGIN_SECONDS, (run.deadline - run.began_at) * _MARGIN_SHARE)
        seen = tried(lambda: _seen(opened, run.deadline - margin))
        if isinstance(seen, Exception):
            run.error = f"{Cause.BUG}: {type(seen).__name__}: {seen}"
            self._log_bug(job, run.error, seen)
            run.families = self._without(opened, Unreachable(Cause.BUG, run.error))
        else:
            run.families, run.error = seen
        run.duration_seconds = self._clock() - run.began_at
        run.done.set()

    def _take(self, job: Job, run: Run | None) -> tuple[Families, own.Outcome]:
        name = job.opened.name
        if run is not None and run.done.is_set():
            outcome = own.Outcome(name, run.error, run.duration_seconds)
            self._note(job, outcome)
            return run.families, outcome
        why = Unreachable(Cause.DEADLINE if run else Cause.BUSY, "not done at the deadline")
        run = run or job.run
        with self._lock:
            took = self._clock() - run.began_at if run else 0.0
            if run and not run.counted_late:
                run.counted_late = True
                self._timeouts[name] += 1
        job.opened.collector.cancel()
        outcome = own.Outcome(name, str(why), took)
        self._note(job, outcome)
        return self._without(job.opened, why), outcome

    def _note(self, job: Job, outcome: own.Outcome) -> None:
        """Remember how it fared; log only what changed, or a dead target fills the log."""
        with self._lock:
            before, job.last_error = job.last_error, outcome.error
            job.last_outcome = outcome
        if outcome.error and outcome.error != before:
            log.warning("collector %s: %s", outcome.collector, outcome.error)
        elif before and not outcome.error:
            log.info("collector %s: good again", outcome.collector)

    def _log_bug(self, job: Job, message: str, error: Exception) -> None:
        if message != job.last_error:
            log.error("collector %s raised", job.opened.name, exc_info=error)

    def _without(self, opened: Opened, why: Unreachable) -> Families:
        """What is said of a target that was not read, such as pg_up 0."""
        said = tried(lambda: opened.families(opened.target, why))
        if isinstance(said, Exception):
            log.error("families of %s raised", opened.name, exc_info=said)
            return []
        return said


def _seen(opened: Opened, deadline: float) -> tuple[Families, str]:
    """What one collect() gives: its families, and what it could not do."""
    reading = opened.collector.collect(deadline)
    families = opened.families(opened.target, reading)
    if isinstance(reading, Unreachable):
        return families, str(reading)
    return families, "; ".join(reading.problems)


def _divided(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """Those that need a thread, and those for the scrape's own: one that waits is the last."""
    here: list[Job] = []
    away: list[Job] = []
    last: list[Job] = []
    for job in jobs:
        collector: Any = job.opened.collector
        if job.tells_instant and collector.instant():
            here.append(job)
        elif not last and job.tells_punctual and collector.punctual():
            last.append(job)
        else:
            away.append(job)
    return away, here + last
