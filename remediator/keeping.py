"""The journal as the process uses it: opened, with what reads and writes it.

Rule: wiring only. Of a shared journal the time is its server's, for everything that is kept.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from remediator.alarm import JournalAlarm
from remediator.config import Config
from remediator.journal import Calls, Database, Intake, Lease, Orders, Records, RunLog, Sharer
from remediator.journal.opening import name_in, open_journal
from remediator.journal.shared_clock import SharedClock
from remediator.killswitch import KillSwitch
from remediator.metrics import BreakerGauges, MaintenanceGauges, Metrics, RunGauges, SharingGauges
from remediator.notify import AlertmanagerPager
from remediator.runs import Change
from remediator.sharing import Sharing
from remediator.watchdog import Watchdog

LATE_TURNS = 3


@dataclass(frozen=True, slots=True)
class Clocks:
    """Of this host: the time, and seconds that go on while it sleeps and that nobody sets."""

    now: Callable[[], datetime]
    ticks: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Journal:
    intake: Intake
    runs: RunLog
    records: Records
    kill_switch: KillSwitch
    orders: Orders
    calls: Calls
    database: Database
    lease: Lease
    clock: Callable[[], datetime]
    shared_clock: SharedClock | None
    watchdog: Watchdog | None
    pager: AlertmanagerPager
    alarm: JournalAlarm


@contextmanager
def opened(
    config: Config,
    metrics: Metrics,
    on_change: Callable[[Change], None],
    pager: AlertmanagerPager,
    clocks: Clocks,
) -> Iterator[Journal]:
    """With this process's part in it, if others work on it too.

    Errors: JournalLocked, JournalUnavailable.
    """
    database, server_time = open_journal(config.state_file, config.journal)
    with closing(database):
        shared = SharedClock(server_time, clocks.ticks) if server_time is not None else None
        clock = shared or clocks.now
        section, name = config.journal, name_in(config.journal)
        lease = Lease(database, name, timedelta(seconds=section.lease if section else 0))
        lease.begin(clock())
        memory = timedelta(seconds=config.policy.memory_seconds)
        orders = Orders(database)
        paused = config.state_file.with_name("paused") if config.state_file is not None else None
        journal = Journal(
            intake=Intake(database),
            runs=RunLog(database, memory, on_change, metrics.escalated, lease),
            records=Records(database),
            kill_switch=KillSwitch(paused, os.environ, orders, clock, name),
            orders=orders,
            calls=Calls(database),
            database=database,
            lease=lease,
            clock=clock,
            shared_clock=shared,
            watchdog=_watchdog(config, metrics, clock),
            pager=pager,
            alarm=alarm(config, pager, clocks.now),
        )
        metrics.registry.register(RunGauges(journal.records, config.policy.topology))
        metrics.registry.register(MaintenanceGauges(config.policy.topology))
        sharers = partial(_sharers, lease, clock) if shared is not None else None
        open_incidents = journal.records.open_incidents
        metrics.registry.register(SharingGauges(sharers, open_incidents, clock))
        metrics.registry.register(BreakerGauges(config.policy, lambda: journal.runs.past(clock())))
        yield journal


def _sharers(lease: Lease, clock: Callable[[], datetime]) -> tuple[Sharer, ...]:
    return lease.sharers(clock())


def sharing_of(
    journal: Journal, *, wake: Callable[[], None], is_stuck: Callable[[], bool]
) -> Sharing | None:
    """None where nobody else works on the journal."""
    if journal.shared_clock is None:
        return None
    return Sharing(
        journal.lease,
        clock=journal.clock,
        set_clock=journal.shared_clock.set,
        interrupt=journal.runs.interrupt_all,
        wake=wake,
        is_stuck=is_stuck,
    )


def of_the_leader(journal: Journal, turn: Callable[[], None]) -> Callable[[], None]:
    """What one of several does for all."""

    def led() -> None:
        if journal.lease.leads():
            turn()

    return led


def alarm(config: Config, pager: AlertmanagerPager, clock: Callable[[], datetime]) -> JournalAlarm:
    return JournalAlarm(
        pager,
        external_url=config.external_url,
        after_seconds=LATE_TURNS * config.reconcile_interval_seconds,
        clock=clock,
    )


def _watchdog(config: Config, metrics: Metrics, clock: Callable[[], datetime]) -> Watchdog | None:
    section = config.watchdog
    if section is None:
        return None
    watchdog = Watchdog(section.alert, timedelta(seconds=section.missing_after), clock())
    metrics.watch(lambda: watchdog.seen_at)
    return watchdog
