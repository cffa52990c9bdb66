"""What must hold in every history, whatever happens: looked at when anything is done.

Rule: it judges by the world's own truth and its own count of effects; the journal is asked only
which run an effect belongs to, and what is on disk. It shares no code with the guards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

from remediator.outcomes import NOT_MENDED, State
from remediator.planner import Plan
from remediator.policy import Mode, Policy, Repeat, Risk, Runbook, Step
from remediator.ports import AlertState, Check, Finding
from remediator.runs import Change
from remediator.topology import Target
from tests.fakes import START
from tests.simulation.humans import Humans
from tests.simulation.process import Process
from tests.simulation.prometheus import Prometheus
from tests.simulation.site import NEEDS, TOPOLOGY
from tests.simulation.storms import Seen, Storms
from tests.simulation.world import Lane, World

HOUR, DAY = 3600.0, 86400.0
JUDGED_BEFORE = 45.0
"""A step's time to become ready and the slowest answers: so old may a judgement be."""


@dataclass(slots=True)
class Effect:
    """One call of an action."""

    at: float
    run: int
    incident: int
    runbook: str
    target: str
    step: str
    ended_at: float | None = None


@dataclass
class Auditor:
    world: World
    policy: Policy
    prometheus: Prometheus
    humans: Humans
    process: Process
    effects: list[Effect] = field(default_factory=list)
    paged: dict[int, tuple[str, str]] = field(default_factory=dict)
    _seen: dict[Lane, Seen] = field(default_factory=dict)
    _looks: dict[Lane, list[bool]] = field(default_factory=dict)
    _confirmed: dict[Lane, bool] = field(default_factory=dict)
    _acknowledged: list[dict[str, str]] = field(default_factory=list)
    _deliveries: int = 0
    _answer: AlertState | None = None

    def __post_init__(self) -> None:
        self._storms = Storms(self.policy)

    # -- what is told to it --------------------------------------------------------------

    def seen(self, state: AlertState | None) -> None:
        """The lane was answered which alerts fire."""
        seen = Seen(self.world.seconds, state, tuple(row[0] for row in self._active("target")))
        if self.world.lanes.current is not None:
            self._seen[self.world.lanes.current] = seen
        self._answer = state
        if not self.process.fate.is_disk_full:
            self._storms.remember(seen)

    def looked(
        self, target: Target, labels: Mapping[str, str], findings: Iterable[Finding], *, n: int
    ) -> None:
        """The lane asked `n` checks. What it may believe is what is true of Prometheus now."""
        lane = self.world.lanes.current
        if lane is None:
            return
        found = list(findings)
        if n == 1:
            self._confirmed[lane] = all(f.verdict is Check.FAIL for f in found)
            return
        symptom = (labels["alertname"], labels["service"])
        age = self.prometheus.data_age()
        good = (
            self.prometheus.is_up
            and age is not None
            and age <= self.policy.max_data_age_seconds
            and not self.prometheus.fires(symptom)
            and self.prometheus.now().running.get(target.key) is True
            and all(f.verdict is Check.PASS for f in found)
        )
        self._looks.setdefault(lane, []).append(good)

    def changed(self, change: Change) -> None:
        why = f" ({change.reason})" if change.reason else ""
        self.world.tell(f"  {change.runbook} on {change.target}: {change.state}{why}")
        if change.state is State.AWAITING_APPROVAL:
            self.humans.asked()
        lane = self.world.lanes.current
        if change.state is State.EFFECTIVE and lane is not None:
            wanted = self.policy.runbooks[change.runbook].verify.consecutive
            looks = self._looks.get(lane, [])[-wanted:]
            if len(looks) < wanted or not all(looks):
                self._broken("called effective without fresh passing checks in a row")

    def page(self, incident: int, target: str, runbook: str) -> None:
        if incident not in self.paged:
            self.world.tell(f"  HUMAN called for incident {incident}: {runbook} on {target}")
        self.paged[incident] = (runbook, target)

    def stored(self, body: Mapping[str, Any]) -> None:
        """A webhook was answered 200."""
        self._deliveries += 1
        firing = [alert["labels"] for alert in body["alerts"] if alert["status"] == "firing"]
        self._acknowledged += [labels for labels in firing if labels not in self._acknowledged]
        self.kept()

    def reconciled(self, since_event: int) -> None:
        """Right after a reconcile that did not wait: what it took for cleared, and on what."""
        age = None if self._answer is None else self._answer.data_age_seconds
        cleared = self.process.peek(
            "SELECT 1 FROM events WHERE id > ? AND kind = 'alert_resolved'", since_event
        )
        if cleared and (age is None or age > self.policy.max_data_age_seconds):
            self._broken(f"took an alert for cleared on data of {age} s")

    def kept(self) -> None:
        """Whatever was acknowledged is on disk."""
        rows = self.process.peek("SELECT count(*) FROM deliveries WHERE source = 'webhook'")
        if rows[0][0] < self._deliveries:
            self._broken(f"{self._deliveries} deliveries were answered 200, {rows[0][0]} are kept")
        kept = self.process.peek("SELECT identity FROM signals")
        for labels in self._acknowledged:
            if not any(f'"service": "{labels["service"]}"' in row[0] for row in kept):
                self._broken(f"an acknowledged alert was forgotten: {labels}")

    # -- an effect -----------------------------------------------------------------------

    def begins(self, step: Step, target: Target) -> Effect:
        rows = self._active("id, incident_id, runbook", target.key)
        if len(rows) != 1:
            self._broken(f"{step.action} on {target.key} with {len(rows)} active runs there")
        run, incident, name = rows[0]
        book = self.policy.runbooks[name]
        steps = self.process.peek("SELECT step_id, outcome FROM steps WHERE run_id = ?", run)
        if not any(row[0] == step.id and row[1] is None for row in steps):
            self._broken(f"{step.action} on {target.key} without an intent on disk")
        effect = Effect(self.world.seconds, run, incident, name, target.key, step.id)
        self.world.tell(f"  ACTS: {step.action} on {target.key} (run {run})")
        self._orders(book, target)
        self._repeats(effect, step)
        self._excludes(effect, book, target)
        if not any(row[1] == "done" for row in steps):
            ordered = self._is_ordered(run, book, target)
            seen = self._judged(book, target, ordered=ordered)
            self._moment(book, target, seen)
            if not ordered:
                self._own_alert(book, target, seen)
                self._age(book, target)
                self._approved(book, target, seen, run)
            if all(other.run != run for other in self.effects):
                self._counts(effect, book)
        self.effects.append(effect)
        lane = self.world.lanes.current
        if lane is not None:
            self._looks.pop(lane, None)
        return effect

    def _orders(self, book: Runbook, target: Target) -> None:
        """What humans have said holds until the very moment."""
        if self.humans.is_paused():
            self._broken("acts while paused")
        if self.policy.mode_of(book) is Mode.OBSERVE:
            self._broken("acts in observe mode")
        if self.humans.deploys():
            self._broken("acts while the deploy lock is held")
        since = self.humans.since_deploy()
        if since is not None and since < self.policy.after_deploy_seconds and not book.after_deploy:
            self._broken(f"acts {since:.0f} s after a deployment")
        if target.container == "c-prometheus" or TOPOLOGY.get(target.key) != target:
            self._broken(f"touches {target.key}")

    def _repeats(self, effect: Effect, step: Step) -> None:
        key = (effect.incident, effect.runbook, effect.step)
        same = [e for e in self.effects if (e.incident, e.runbook, e.step) == key]
        if step.repeat is Repeat.NEVER and same:
            self._broken(f"step {step.id} is never repeated, and was in {effect.incident}")
        if sum(1 for e in same if e.run == effect.run) > 1:
            self._broken(f"step {step.id} is done a third time in run {effect.run}")

    def _excludes(self, effect: Effect, book: Runbook, target: Target) -> None:
        under_way = [e for e in self.effects if e.ended_at is None]
        for other in under_way:
            if other.target in {target.key} | target.excludes:
                self._broken(f"{other.step} is under way on {other.target}")
        runs = self._active("runbook, target, state")
        for _, key, _ in runs:
            if key in target.excludes:
                self._broken(f"works on {target.key} while a run works on {key}")
        disturbing = [
            (name, key)
            for name, key, state in runs
            if self.policy.runbooks[name].risk is not Risk.SAFE
            # What is done and only waits for this target hides nothing from it.
            and not (state == State.VERIFYING and target.key in NEEDS.get(key, ()))
        ]
        if book.risk is not Risk.SAFE and len(disturbing) > self.policy.concurrency:
            self._broken(f"{len(disturbing)} disturbing runs at once: {disturbing}")

    def _is_ordered(self, run: int, book: Runbook, target: Target) -> bool:
        """By a human, who did so not long ago."""
        if not self.process.peek("SELECT 1 FROM run_orders WHERE run_id = ?", run):
            return False
        given = self.humans.ordered.get((book.id, target.key), [])
        oldest = self.world.seconds - self.policy.approval_seconds - JUDGED_BEFORE
        taken = self.process.peek(
            "SELECT count(*) FROM run_orders WHERE runbook = ? AND target = ? AND run_id > 0",
            book.id,
            target.key,
        )[0][0]
        if taken > len(given) or not any(at >= oldest for at in given):
            self._broken(f"{book.id} on {target.key} was ordered by nobody, or long ago: {given}")
        return True

    def _judged(self, book: Runbook, target: Target, *, ordered: bool) -> Seen:
        lane = self.world.lanes.current
        seen = self._seen.get(lane) if lane is not None else None
        if seen is None or self.world.seconds - seen.at > JUDGED_BEFORE:
            self._broken(f"{book.id} on {target.key} without asking what fires")
        if seen.state is None:
            self._broken("acts although Prometheus could not be asked")
        age = seen.state.data_age_seconds
        if age is None or age > self.policy.max_data_age_seconds:
            self._broken(f"acts on data of {age} s")
        if book.confirm and not ordered and lane is not None and not self._confirmed.get(lane):
            self._broken("acts without its second signal")
        return seen

    def _moment(self, book: Runbook, target: Target, seen: Seen) -> None:
        """What was true when it was judged."""
        state = seen.state
        if state is None:
            raise AssertionError("looked at before")
        told = (*state.firing, *state.pending)
        if broken := [a.labels for a in told if a.labels["service"] in NEEDS.get(target.key, ())]:
            self._broken(f"{target.key} needs what is broken: {broken}")
        if others := [a for a in state.firing if a.labels["alertname"] in book.unless_firing]:
            self._broken(f"{others} fire, which {book.id} waits for")
        if set(NEEDS.get(target.key, ())) & state.lately:
            self._broken("what it needs has just come back")
        if self._storms.is_one(seen, beside=target.key):
            self._broken("acts in a storm")
        slack, deaths = JUDGED_BEFORE, self.process.deaths
        if self._storms.is_just_over(seen.at, beside=target.key, slack=slack, deaths=deaths):
            self._broken("acts just after a storm")
        self._serves(target, state, seen)
        self._times(book, target, seen)

    def _own_alert(self, book: Runbook, target: Target, seen: Seen) -> None:
        state, alerts = seen.state, self._alerts_of(book)
        if state is None:
            raise AssertionError("looked at before")
        own = [
            a
            for a in state.firing
            if a.labels["alertname"] in alerts and a.labels["service"] == target.key
        ]
        if not own:
            self._broken(f"{book.id} on {target.key}, and nothing fires there")
        held = [
            a
            for a in state.notified or ()
            if a.labels["alertname"] in alerts and a.labels["service"] == target.key
        ]
        if not any(a.muted is None for a in held):
            self._broken("acts on an alert that is muted, or that Alertmanager does not hold")

    def _serves(self, target: Target, state: AlertState, seen: Seen) -> None:
        for group in self.policy.groups.values():
            if target.key not in group.members or state.running.get(target.key) is False:
                continue
            others = [
                key
                for key in group.members
                if key not in {target.key, *seen.works} and state.running.get(key)
            ]
            if len(others) < group.min_healthy:
                self._broken(f"takes {target.key} down, and nobody stands in for it")

    def _times(self, book: Runbook, target: Target, seen: Seen) -> None:
        if self.humans.works_on(target.key, seen.at):
            self._broken(f"works on {target.key} in its maintenance")
        # It was judged at some moment between these two; a window may have begun in between.
        moments = START + timedelta(seconds=seen.at), self.world.clock()
        names = set(self.policy.quiet_windows) - {book.window}
        if any(all(map(self.policy.windows[name].holds, moments)) for name in names):
            self._broken("begins in a quiet window")
        if book.window and not any(map(self.policy.windows[book.window].holds, moments)):
            self._broken("begins outside its window")

    def _age(self, book: Runbook, target: Target) -> None:
        started = self.process.peek(
            "SELECT min(s.starts_at) FROM signals s JOIN incidents i ON i.id = s.incident_id"
            " WHERE i.target = ? AND i.closed_at IS NULL AND s.resolved_at IS NULL",
            target.key,
        )[0][0]
        young = (self.world.clock() - timedelta(seconds=book.firing_for_seconds)).strftime(
            "%Y-%m-%dT%H:%M:%S.%fZ"
        )
        if started is not None and started > young:
            self._broken(f"acts on what fires since {started}")

    def _approved(self, book: Runbook, target: Target, seen: Seen, run: int) -> None:
        if self.policy.mode_of(book) is not Mode.APPROVE:
            return
        given = self.humans.approved.get(run)
        if given is None:
            self._broken(f"run {run} was approved by nobody")
        wanted = Plan(book, target, {}).hash
        if given[0] != wanted or seen.at - given[1] > self.policy.approval_seconds + 1:
            self._broken(f"run {run} was approved as {given}, not {wanted}")

    def _counts(self, effect: Effect, book: Runbook) -> None:
        """The first effect of a run: is there room for one more?"""
        firsts: dict[int, Effect] = {}
        for known in self.effects:
            firsts.setdefault(known.run, known)
        past = list(firsts.values())
        self._at_most(past, HOUR, self.policy.runs_per_hour, "in an hour")
        self._at_most(past, DAY, self.policy.runs_per_day, "in a day")
        own = [e for e in past if (e.runbook, e.target) == (effect.runbook, effect.target)]
        self._at_most(own, book.limits.per_seconds, book.limits.attempts, "attempts")
        ends = [
            e.ended_at or e.at
            for e in self.effects
            if (e.runbook, e.target) == (effect.runbook, effect.target)
        ]
        if ends and effect.at - max(ends) < book.limits.cooldown_seconds:
            self._broken(f"{effect.at - max(ends):.0f} s after the last run of {book.id} ended")
        reset = max(self.humans.resets.get((effect.runbook, effect.target), [-1.0]))
        since = [e for e in own if e.at > reset]
        if book.risk is Risk.SAFE:
            return
        self._at_most(since, 6 * HOUR, self.policy.breaker.runs, "runs: the breaker is open")
        self._at_most(since, DAY, self.policy.breaker.runs_per_day, "runs: the breaker is open")
        ended = [self._end_of(e.run) for e in since[-self.policy.breaker.failures :]]
        if len(ended) == self.policy.breaker.failures and all(s in NOT_MENDED for s in ended):
            self._broken(f"{len(ended)} runs in a row did not mend it")

    def _at_most(self, past: list[Effect], seconds: float, most: int, what: str) -> None:
        # What happens in the simulation's one moment has no order: a second of grace.
        recent = [e for e in past if self.world.seconds - e.at < seconds - JUDGED_BEFORE]
        if len(recent) >= most:
            self._broken(f"more than {most} {what}")

    # -- all the time --------------------------------------------------------------------

    def at_rest(self) -> None:
        """Long after the last fault and the last order: nothing is left."""
        self.kept()
        for what, sql in {
            "an incident is open": "SELECT * FROM incidents WHERE closed_at IS NULL",
            "a run is under way": "SELECT id, runbook, target, state FROM runs WHERE state IN"
            " ('blocked', 'awaiting_approval', 'claimed', 'executing', 'verifying', 'interrupted')",
            "a call stands": "SELECT incident_id FROM escalations WHERE cleared_at IS NULL",
            "an order waits": "SELECT id FROM run_orders WHERE run_id IS NULL AND refused IS NULL",
            "an alert fires": "SELECT id FROM signals WHERE resolved_at IS NULL",
        }.items():
            rows = self.process.peek(sql)
            if rows:
                self._broken(f"all is well, and yet {what}: {[tuple(row) for row in rows]}")

    # -- small words ---------------------------------------------------------------------

    def _alerts_of(self, book: Runbook) -> set[str]:
        """Those of the entry itself, and those of the entries on whose ladder it stands."""
        below = [b for b in self.policy.runbooks.values() if book.id in self.policy.rungs(b.id)]
        return {name for b in below for name in b.alerts}

    def _active(self, columns: str, target: str | None = None) -> list[Any]:
        return self.process.peek(
            f"SELECT {columns} FROM runs WHERE (target = ?1 OR ?1 IS NULL)"  # noqa: S608
            " AND state IN ('claimed', 'executing', 'verifying', 'interrupted')",
            target,
        )

    def _end_of(self, run: int) -> State:
        return State(self.process.peek("SELECT state FROM runs WHERE id = ?", run)[0][0])

    def _broken(self, what: str) -> NoReturn:
        self.world.broken(what)
