"""The remediator as it serves: configuration, wiring, serving, stopping.

Rule: the only place that wires, makes a clock and ends the process.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from types import FrameType

import click
from prometheus_client import disable_created_metrics

from remediator.actions import ACTIONS, Clients
from remediator.config import Config, load_config
from remediator.config_mistakes import ConfigError
from remediator.deadman import DeadMan, Heartbeat
from remediator.issues import Github, IssueWriter
from remediator.journal import (
    Housekeeping,
    Issues,
    JournalLocked,
    JournalUnavailable,
    RunOrders,
)
from remediator.keeping import LATE_TURNS, Clocks, Journal, alarm, of_the_leader, opened, sharing_of
from remediator.metrics import Metrics, OncallGauges
from remediator.notify import AlertmanagerPager
from remediator.oncall import Rota
from remediator.operate import Desk
from remediator.outcomes import Reason, State
from remediator.pages import Pages
from remediator.pipeline import Ports, remediate
from remediator.policy import Step
from remediator.ports import Action, Stopped
from remediator.process import log_to_stderr, tune
from remediator.prometheus import Prometheus
from remediator.reconcile import Reconciler
from remediator.rota_file import RotaFile
from remediator.runs import Change, Ending, Incident
from remediator.verify import MonitoringVerifier
from remediator.watch import AlertmanagerAlerts, Watch
from remediator.web import Parts, create_app
from remediator.web.console.opening import open_gate
from remediator.web.serving import serving
from remediator.worker import Duties, Worker

log = logging.getLogger("remediator")

EXIT_BAD_CONFIG = 2
DRAIN_SECONDS = 25.0  # below the 30 s that compose gives before it kills


def serve(config_file: Path, profile: Path | None, *, check: bool) -> None:
    """Until it is told to stop. `check`: only say whether the configuration is good."""
    try:
        config = load_config(config_file, ACTIONS, profile)
    except ConfigError as error:
        click.echo(error, err=True)
        raise SystemExit(EXIT_BAD_CONFIG) from None
    if check:
        click.echo(f"{config_file}: good")
        return
    log_to_stderr()
    try:
        _serve(config, _token(config.token_file))
    except (JournalLocked, JournalUnavailable, OSError, ValueError) as error:
        if isinstance(error, JournalUnavailable):  # there is no journal to keep a call in
            with closing(AlertmanagerPager(config.alertmanager_url, clock=_now)) as pager:
                alarm(config, pager, _now).tell(str(error))
        log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence, not a traceback
        raise SystemExit(1) from None


def _token(path: Path) -> bytes:
    token = path.read_bytes().strip()
    if not token:
        raise ValueError(f"{path} is empty; webhook.token_file must hold the token")
    return token


@dataclass(frozen=True, slots=True)
class _Eyes:
    prometheus: Prometheus
    alerts: Watch
    verifier: MonitoringVerifier


def _serve(config: Config, token: bytes) -> None:
    stop = threading.Event()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series
    with ExitStack() as stack:
        metrics = Metrics(config.policy, installed_version("stackmedic"))
        nudge = _Nudge()
        pager = stack.enter_context(closing(AlertmanagerPager(config.alertmanager_url, clock=_now)))
        journal = stack.enter_context(
            opened(config, metrics, partial(_changed, metrics, nudge), pager, Clocks(_now, _ticks))
        )
        rota = RotaFile(config.oncall_file).rota
        metrics.registry.register(OncallGauges(rota, journal.clock))
        left = journal.runs.interrupt_all(journal.clock())
        if left:
            log.warning("%d runs were cut off by the last stop; they are taken up again", left)
        eyes = _eyes(config, stack)
        worker = _worker(config, journal, metrics, eyes, stop=stop, stack=stack)
        nudge.page = worker.page
        desk = _desk(config, journal, metrics, eyes, worker)
        sharing = sharing_of(journal, wake=desk.wake, is_stuck=desk.late)
        app = create_app(_parts(config, token, desk, journal, rota))
        server = serving(app, config.host, config.port, config.max_body_bytes)
        with suppress(SystemExit):  # by _leave
            # Before the first word that it runs: whoever waits for that may stop it at once.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, partial(_leave, stop))
            worker.start()
            if sharing is not None:
                sharing.start()
            tune()
            log.info("listening on %s:%d, mode %s", config.host, config.port, config.policy.mode)
            server.run()
        log.info("stopping")
        server.close()
        if not worker.stop(DRAIN_SECONDS):
            log.warning("a step is still under way; it will be looked at on the next start")
        if sharing is not None:
            sharing.stop()


def _parts(
    config: Config, token: bytes, desk: Desk, journal: Journal, rota: Callable[[], Rota | None]
) -> Parts:
    return Parts(
        desk=desk,
        token=token,
        max_body_bytes=config.max_body_bytes,
        intake=journal.intake,
        external_url=config.external_url,
        console=open_gate(config.console, config.state_file, config.external_url, journal.clock),
        on_call=rota if config.oncall_file else None,
    )


def _leave(stop: threading.Event, _number: int, _frame: FrameType | None) -> None:
    stop.set()
    raise SystemExit(0)  # the end of serving, here and for waitress


def _eyes(config: Config, stack: ExitStack) -> _Eyes:
    prometheus = Prometheus(
        config.prometheus_url,
        freshness_job=config.freshness_job,
        settle_seconds=config.dependency_settle_seconds,
        steady_seconds=config.steady_seconds,
    )
    stack.enter_context(closing(prometheus))
    age = config.policy.max_data_age_seconds
    verifier = MonitoringVerifier(config.exporter_url, prometheus, max_data_age_seconds=age)
    stack.enter_context(closing(verifier))
    notified = stack.enter_context(closing(AlertmanagerAlerts(config.alertmanager_url)))
    return _Eyes(prometheus, Watch(prometheus, notified), verifier)


def _worker(
    config: Config,
    journal: Journal,
    metrics: Metrics,
    eyes: _Eyes,
    *,
    stop: threading.Event,
    stack: ExitStack,
) -> Worker:
    policy, pager, prometheus = config.policy, journal.pager, eyes.prometheus
    clients = Clients(
        config.docker_url,
        config.exporter_url,
        clock=journal.clock,
        wait=time.sleep,
        prometheus_url=config.prometheus_url,
        topology=policy.topology,
    )
    ports = Ports(
        journal=journal.runs,
        alerts=eyes.alerts,
        verifier=eyes.verifier,
        action=partial(_action, clients),
        clock=journal.clock,
        wait=partial(_wait, stop),
        paused=journal.kill_switch.paused,
    )
    reconciler = Reconciler(
        policy, prometheus, journal.intake, journal.runs, metrics, journal.clock
    )
    duties = Duties(
        open_incidents=journal.runs.open_incidents,
        incident=journal.runs.incident,
        remediate=partial(remediate, policy=policy, ports=ports),
        abandon=partial(_abandon, journal),
        reconcile=partial(_reconcile, journal, reconciler),
        beside={
            **_issues(config, journal, stack),
            "dead-man": _dead_man(config, journal, metrics, pager, prometheus).turn,
            "housekeeping": of_the_leader(
                journal, Housekeeping(journal.database, _retention(config), journal.clock).turn
            ),
        },
        page=Pages(
            journal.calls, journal.records, pager, _incidents_url(config), journal.clock
        ).send,
    )
    return Worker(duties, interval_seconds=config.reconcile_interval_seconds, clock=journal.clock)


def _incidents_url(config: Config) -> str:
    """Where there is a console, a human who is called is led there."""
    pages = "console" if config.console else "api/v1"
    return f"{config.external_url.rstrip('/')}/{pages}/incidents"


def page_of(config: Config, incident_id: int) -> str:
    """With the post-mortem's draft; of the API it is the draft alone."""
    page = f"{_incidents_url(config)}/{incident_id}"
    return page if config.console else f"{page}/postmortem"


def _issues(config: Config, journal: Journal, stack: ExitStack) -> Mapping[str, Callable[[], None]]:
    """A lane of its own where it is configured, and none where it is not."""
    section = config.github
    if section is None:
        return {}
    token_file = Path(section.token_file)
    github = Github(section.api_url, section.repository, token_file, journal.clock)
    stack.enter_context(closing(github))
    issues = Issues(journal.database)
    page = partial(page_of, config)
    writer = IssueWriter(issues, journal.records, github, page, journal.clock)
    return {"issues": of_the_leader(journal, writer.turn)}


def _dead_man(
    config: Config,
    journal: Journal,
    metrics: Metrics,
    pager: AlertmanagerPager,
    prometheus: Prometheus,
) -> DeadMan:
    section = config.heartbeat
    heartbeat = Heartbeat(section.url, timedelta(seconds=section.interval)) if section else None
    return DeadMan(
        watchdog=journal.watchdog,
        heartbeat=heartbeat,
        pager=pager,
        prove_journal=journal.database.prove,
        prove_prometheus=partial(prometheus.query, "vector(1)"),
        count=metrics.heartbeat,
        external_url=config.external_url,
        clock=journal.clock,
    )


def _retention(config: Config) -> timedelta:
    """What a guard counts is never pruned."""
    return timedelta(seconds=max(config.retention_seconds, config.policy.memory_seconds))


def _desk(config: Config, journal: Journal, metrics: Metrics, eyes: _Eyes, worker: Worker) -> Desk:
    late_after = max(LATE_TURNS * config.reconcile_interval_seconds, 10.0)
    return Desk(
        policy=config.policy,
        records=journal.records,
        runs=journal.runs,
        orders=journal.orders,
        run_orders=RunOrders(journal.database),
        kill_switch=journal.kill_switch,
        alerts=eyes.alerts,
        verifier=eyes.verifier,
        metrics=metrics,
        wake=worker.wake,
        late=lambda: worker.seconds_since_turn > late_after,
        trouble=lambda: journal.alarm.trouble,
        clock=journal.clock,
        version=installed_version("stackmedic"),
        watchdog=journal.watchdog,
        retention=_retention(config),
        sharers=lambda: journal.lease.sharers(journal.clock()),
    )


def _action(clients: Clients, step: Step) -> Action:
    kind = ACTIONS[step.action]
    return kind.make(kind.params.model_validate(step.params), clients)


def _reconcile(journal: Journal, reconciler: Reconciler) -> None:
    try:
        journal.database.prove(journal.clock())
        journal.kill_switch.look()  # also when nothing fires: a change is told and seen
        reconciler.once()
    except JournalUnavailable as error:
        journal.alarm.failed(str(error))
        raise
    journal.alarm.works()


def _abandon(journal: Journal, incident: Incident, defect: str) -> None:
    detail = f"a defect in the remediator: {defect}"
    ending = Ending(State.FAILED, Reason.OUTCOME_UNKNOWN, detail)
    journal.runs.abandon(incident, ending, journal.clock())


@dataclass(slots=True)
class _Nudge:
    """Humans hear soon of a change; the worker that tells them is made after the journal."""

    page: Callable[[], None] = lambda: None


def _changed(metrics: Metrics, nudge: _Nudge, change: Change) -> None:
    metrics.run_changed(change)
    nudge.page()
    why = f" ({change.reason})" if change.reason else ""
    log.info("%s on %s: %s%s", change.runbook, change.target, change.state, why)


def _ticks() -> float:
    """Seconds that go on while the machine sleeps, and that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _now() -> datetime:
    return datetime.now(UTC)


def _wait(stop: threading.Event, seconds: float) -> None:
    if stop.wait(seconds):
        raise Stopped
