"""The remediator's command: flags, configuration, wiring, serving, stopping.

Rule: the only place that wires, makes a clock and ends the process.
"""

import logging
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from types import FrameType

import click
import waitress  # type: ignore[import-untyped]  # it ships no types
from prometheus_client import disable_created_metrics

from remediator.actions import ACTIONS, Clients
from remediator.alarm import JournalAlarm
from remediator.cli import COMMANDS
from remediator.config import Config, load_config
from remediator.config_mistakes import ConfigError
from remediator.journal import (
    Database,
    Intake,
    JournalLocked,
    JournalUnavailable,
    Orders,
    Records,
    RunLog,
)
from remediator.killswitch import KillSwitch
from remediator.metrics import BreakerGauges, Metrics, RunGauges
from remediator.notify import AlertmanagerPager
from remediator.outcomes import Reason, State
from remediator.pages import Pages
from remediator.pipeline import Ports, remediate
from remediator.policy import Policy, Step
from remediator.ports import Action, Stopped
from remediator.prometheus import Prometheus
from remediator.reconcile import Reconciler
from remediator.runs import Change, Ending, Incident
from remediator.verify import MonitoringVerifier
from remediator.watch import AlertmanagerAlerts, Watch
from remediator.web import Parts, create_app
from remediator.worker import Duties, Worker

log = logging.getLogger("remediator")

EXIT_BAD_CONFIG = 2
DRAIN_SECONDS = 25.0  # below the 30 s that compose gives before it kills
LATE_TURNS = 3
THREADS = 8
CONNECTIONS = 64


@click.group(invoke_without_command=True)
@click.option(
    "--config.file",
    "config_file",
    type=click.Path(path_type=Path),
    default=Path("remediator.yml"),
    show_default=True,
)
@click.option(
    "--config.profile",
    "profile",
    type=click.Path(path_type=Path),
    help="A file whose top-level keys stand in for those of the configuration.",
)
@click.option("--config.check", "config_check", is_flag=True, help="Check the file and leave.")
@click.version_option(installed_version("stackmedic"), message="stackmedic %(version)s")
@click.pass_context
def main(
    context: click.Context, config_file: Path, profile: Path | None, *, config_check: bool
) -> None:
    """Mends what its runbook says can be mended, on Alertmanager's webhooks.

    Without a command it serves.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        config = load_config(config_file, ACTIONS, profile)
    except ConfigError as error:
        click.echo(error, err=True)
        raise SystemExit(EXIT_BAD_CONFIG) from None
    if config_check:
        click.echo(f"{config_file}: good")
        return
    _log_to_stderr()
    try:
        _serve(config, _token(config.token_file))
    except JournalUnavailable as error:
        _alarm(config).tell(str(error))  # nobody else will: there is no journal to keep a call in
        log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence, not a traceback
        raise SystemExit(1) from None
    except (JournalLocked, OSError, ValueError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400 - a sentence, not a traceback
        raise SystemExit(1) from None


def _token(path: Path) -> bytes:
    token = path.read_bytes().strip()
    if not token:
        raise ValueError(f"{path} is empty; webhook.token_file must hold the token")
    return token


@dataclass(frozen=True, slots=True)
class _Journal:
    intake: Intake
    runs: RunLog
    records: Records
    kill_switch: KillSwitch
    orders: Orders
    database: Database
    alarm: JournalAlarm


def _serve(config: Config, token: bytes) -> None:
    stop = threading.Event()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series
    with ExitStack() as stack:
        database = stack.enter_context(closing(Database(config.state_file)))
        metrics = Metrics(config.policy, installed_version("stackmedic"))
        memory = timedelta(seconds=config.policy.memory_seconds)
        runs = RunLog(database, memory, partial(_changed, metrics))
        paused = config.state_file.with_name("paused")
        orders = Orders(database)
        switch = KillSwitch(paused, os.environ, orders, _now)
        journal = _Journal(
            *(Intake(database), runs, Records(database), switch, orders, database),
            alarm=_alarm(config),
        )
        metrics.registry.register(RunGauges(journal.records, config.policy.topology))
        metrics.registry.register(BreakerGauges(config.policy, lambda: runs.past(_now())))
        left = runs.interrupt_all(_now())
        if left:
            log.warning("%d runs were cut off by the last stop; they are taken up again", left)
        worker = _worker(config, journal, metrics, stop, stack)
        server = waitress.create_server(
            create_app(_parts(config, token, journal, metrics, worker)),
            host=config.host,
            port=config.port,
            threads=THREADS,
            connection_limit=CONNECTIONS,
            # A little over the cap, so that the application can say 413 in its own words;
            # never to a temporary file.
            max_request_body_size=2 * config.max_body_bytes,
            inbuf_overflow=2 * config.max_body_bytes,
            ident="stackmedic-remediator",
        )
        with suppress(SystemExit):  # by _leave
            # Before the first word that it runs: whoever waits for that may stop it at once.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, partial(_leave, stop))
            worker.start()
            log.info("listening on %s:%d, mode %s", config.host, config.port, config.policy.mode)
            server.run()
        log.info("stopping")
        server.close()
        if not worker.stop(DRAIN_SECONDS):
            log.warning("a step is still under way; it will be looked at on the next start")


def _leave(stop: threading.Event, _number: int, _frame: FrameType | None) -> None:
    stop.set()
    raise SystemExit(0)  # the end of serving, here and for waitress


def _worker(
    config: Config, journal: _Journal, metrics: Metrics, stop: threading.Event, stack: ExitStack
) -> Worker:
    policy = config.policy
    prometheus = stack.enter_context(
        closing(
            Prometheus(
                config.prometheus_url,
                freshness_job=config.freshness_job,
                settle_seconds=config.dependency_settle_seconds,
            )
        )
    )
    age = policy.max_data_age_seconds
    verifier = MonitoringVerifier(config.exporter_url, prometheus, max_data_age_seconds=age)
    notified = AlertmanagerAlerts(config.alertmanager_url)
    pager = AlertmanagerPager(config.alertmanager_url, clock=_now, external_url=config.external_url)
    clients = Clients(config.docker_url, config.exporter_url, clock=_now, wait=time.sleep)
    ports = Ports(
        journal=journal.runs,
        alerts=Watch(prometheus, stack.enter_context(closing(notified))),
        verifier=stack.enter_context(closing(verifier)),
        action=partial(_action, clients),
        clock=_now,
        wait=partial(_wait, stop),
        paused=journal.kill_switch.paused,
    )
    reconciler = Reconciler(policy, prometheus, journal.intake, journal.runs, metrics, _now)
    duties = Duties(
        open_incidents=journal.runs.open_incidents,
        remediate=partial(_remediate, journal.runs, policy, ports),
        abandon=partial(_abandon, journal.runs),
        reconcile=partial(_reconcile, journal, reconciler),
        page=Pages(journal.runs, stack.enter_context(closing(pager)), _now).send,
    )
    return Worker(duties, interval_seconds=config.reconcile_interval_seconds, clock=_now)


def _parts(
    config: Config, token: bytes, journal: _Journal, metrics: Metrics, worker: Worker
) -> Parts:
    late_after = max(LATE_TURNS * config.reconcile_interval_seconds, 10.0)
    return Parts(
        policy=config.policy,
        token=token,
        max_body_bytes=config.max_body_bytes,
        intake=journal.intake,
        records=journal.records,
        metrics=metrics,
        kill_switch=journal.kill_switch,
        orders=journal.orders,
        wake=worker.wake,
        late=lambda: worker.seconds_since_turn > late_after,
        trouble=lambda: journal.alarm.trouble,
        clock=_now,
        version=installed_version("stackmedic"),
    )


def _action(clients: Clients, step: Step) -> Action:
    kind = ACTIONS[step.action]
    return kind.make(kind.params.model_validate(step.params), clients)


def _remediate(runs: RunLog, policy: Policy, ports: Ports, incident: Incident) -> bool:
    """In the incident's own lane it is read again.

    What was under way when the lane was called for may have ended since; a run that has ended
    must not be taken for one that was cut off.
    """
    now = runs.open_incident(incident.id)
    return now is not None and remediate(now, policy, ports)


def _reconcile(journal: _Journal, reconciler: Reconciler) -> None:
    try:
        journal.database.prove()
        journal.kill_switch.look()  # also when nothing fires: a change is told and seen
        reconciler.once()
    except JournalUnavailable as error:
        journal.alarm.failed(str(error))
        raise
    journal.alarm.works()


def _alarm(config: Config) -> JournalAlarm:
    return JournalAlarm(
        config.alertmanager_url,
        external_url=config.external_url,
        after_seconds=LATE_TURNS * config.reconcile_interval_seconds,
        clock=_now,
    )


def _abandon(runs: RunLog, incident: Incident, defect: str) -> None:
    detail = f"a defect in the remediator: {defect}"
    runs.abandon(incident, Ending(State.FAILED, Reason.OUTCOME_UNKNOWN, detail), _now())


def _changed(metrics: Metrics, change: Change) -> None:
    metrics.run_changed(change)
    why = f" ({change.reason})" if change.reason else ""
    log.info("%s on %s: %s%s", change.runbook, change.target, change.state, why)


def _now() -> datetime:
    return datetime.now(UTC)


def _wait(stop: threading.Event, seconds: float) -> None:
    if stop.wait(seconds):
        raise Stopped


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request is too many


for _command in COMMANDS:
    main.add_command(_command)

if __name__ == "__main__":
    main()
