"""remediator.yml -> Config, frozen; or ConfigError with every mistake and its path in the file.

Rule: nothing starts on a config with a mistake, and one look names all of them.
"""

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from remediator.actions import ActionType
from remediator.breaker import BreakerLimits
from remediator.checks import (
    AlertCleared,
    CheckSpec,
    ProbesCheck,
    PromqlCheck,
    RunningCheck,
    Verification,
)
from remediator.config_console import ConsoleSection
from remediator.config_files import mapping, read
from remediator.config_guards import WindowSection
from remediator.config_humans import (
    ActiveUsersSection,
    GithubSection,
    HeartbeatSection,
    WatchdogSection,
)
from remediator.config_journal import JournalSection
from remediator.config_mistakes import ConfigError, Mistake, broken_names, from_pydantic
from remediator.config_schema import (
    BackupSection,
    CheckSection,
    ComposeSection,
    ConfigFile,
    RunbookSection,
    StepSection,
    SwitchSection,
    TargetSection,
)
from remediator.config_stack import listed_services, with_stack
from remediator.policy import (
    Group,
    Mode,
    Policy,
    Repeat,
    Risk,
    Runbook,
    RunLimits,
    Step,
    StormLimits,
)
from remediator.topology import (
    BackupFiles,
    ColourSwitch,
    ComposeProject,
    PostgresAddress,
    RedisAddress,
    Target,
)
from remediator.windows import DAYS, Window

_MODE_OF_RISK = {"safe": "auto", "disruptive": "auto", "data": "approve"}


@dataclass(frozen=True, slots=True)
class Config:
    """What `main.py` wires the process with; `policy` is the part that decides."""

    policy: Policy
    host: str
    port: int
    state_file: Path | None  # or `journal`
    token_file: Path
    max_body_bytes: int
    prometheus_url: str
    freshness_job: str
    steady_seconds: float
    alertmanager_url: str
    exporter_url: str
    docker_url: str
    external_url: str
    oncall_file: Path | None
    reconcile_interval_seconds: float
    dependency_settle_seconds: float
    retention_seconds: float
    watchdog: WatchdogSection | None
    heartbeat: HeartbeatSection | None
    github: GithubSection | None
    active_users: ActiveUsersSection | None = None
    journal: JournalSection | None = None
    console: ConsoleSection | None = None


def load_config(
    path: Path, actions: Mapping[str, ActionType], profile: Path | None = None
) -> Config:
    """`profile`: a file whose top-level keys stand in for those of `path`.

    Errors: ConfigError, with every mistake.
    """
    keys = read(path)
    if profile is None:
        return _parsed(keys, str(path), actions)
    return _parsed(keys | read(profile), f"{path} with {profile}", actions)


def parse_config(text: str, source: str, actions: Mapping[str, ActionType]) -> Config:
    """Errors: ConfigError, with every mistake."""
    return _parsed(mapping(text, source), source, actions)


def _parsed(raw: dict[str, Any], source: str, actions: Mapping[str, ActionType]) -> Config:
    mistakes: list[Mistake] = []
    file = None
    try:
        file = ConfigFile.model_validate(raw)
    except ValidationError as error:
        mistakes += from_pydantic(error)
    mistakes += broken_names(raw, actions)
    if file is None or mistakes:
        raise ConfigError(source, mistakes)
    return _build(file)


# -- building: every value is checked already -------------------------------------------


def _build(file: ConfigFile) -> Config:
    host, _, port = file.listen.rpartition(":")
    return Config(
        policy=_policy(file),
        host=host,
        port=int(port),
        state_file=Path(file.state_file) if file.state_file is not None else None,
        journal=file.journal,
        token_file=Path(file.webhook.token_file),
        max_body_bytes=file.webhook.max_body_bytes,
        prometheus_url=file.prometheus.url,
        freshness_job=file.prometheus.freshness_job,
        steady_seconds=file.prometheus.steady,
        alertmanager_url=file.alertmanager.url,
        exporter_url=file.exporter.url,
        docker_url=file.docker.url,
        external_url=file.external_url,
        oncall_file=Path(file.oncall_file) if file.oncall_file else None,
        reconcile_interval_seconds=file.reconcile_interval,
        dependency_settle_seconds=file.dependency_settle,
        retention_seconds=file.retention,
        watchdog=file.watchdog,
        heartbeat=file.heartbeat,
        github=file.github,
        console=file.console,
        active_users=file.active_users,
    )


def _policy(file: ConfigFile) -> Policy:
    runbooks = [_runbook(section) for section in file.runbooks]
    excludes = _excludes(file.topology, file.runbooks)
    return Policy(
        mode=Mode(file.mode),
        max_data_age_seconds=file.prometheus.max_data_age,
        runs_per_hour=file.limits.runs_per_hour,
        runs_per_day=file.limits.runs_per_day,
        breaker=BreakerLimits(
            failures=file.breaker.failures,
            runs=file.breaker.runs,
            within_seconds=file.breaker.within,
            runs_per_day=file.breaker.runs_per_day,
            trial_after_seconds=file.breaker.trial_after,
            clean_seconds=file.breaker.clean,
        ),
        storm=StormLimits(
            targets=file.storm.targets,
            within_seconds=file.storm.within,
            share=file.storm.share,
            at_least=file.storm.at_least,
            calm_seconds=file.storm.calm,
        ),
        topology={
            key: _target(key, section, excludes[key], file.topology)
            for key, section in file.topology.items()
        },
        runbooks={runbook.id: runbook for runbook in runbooks},
        runbook_of_alert={name: runbook.id for runbook in runbooks for name in runbook.alerts},
        concurrency=file.limits.concurrency,
        max_age_seconds=file.limits.max_alert_age,
        after_deploy_seconds=file.after_deploy,
        approval_seconds=file.approval.timeout,
        windows={name: _window(section) for name, section in file.windows.items()},
        quiet_windows=tuple(file.quiet_windows),
        groups={
            name: Group(tuple(section.members), section.min_healthy)
            for name, section in file.groups.items()
        },
        never_touch=frozenset(file.never_touch),
    )


def _window(section: WindowSection) -> Window:
    return Window(
        days=frozenset(DAYS.index(day) for day in section.days),
        start=time.fromisoformat(section.from_),
        end=time.fromisoformat(section.to),
        zone=zoneinfo.ZoneInfo(section.timezone),
        weeks=frozenset(section.weeks),
    )


def _excludes(
    topology: Mapping[str, TargetSection], runbooks: Sequence[RunbookSection]
) -> dict[str, frozenset[str]]:
    """A switch works on nginx and on its colours: none of them may be worked on meanwhile.

    The same for a target whose entry restarts others, and for what nginx reads for it.
    """
    pairs = {
        (key, other)
        for key, section in topology.items()
        if section.switch
        for other in (section.switch.nginx, *section.switch.colours.values())
    }
    pairs |= {
        (entry.target.key, other)
        for entry in runbooks
        if entry.target.key
        for step in entry.steps
        for other in listed_services(step)
        if other != entry.target.key
    }
    pairs |= {
        (key, part.nginx)
        for key, section in topology.items()
        for part in (section.certificate, section.maintenance)
        if part is not None and part.nginx != key
    }
    both_ways = pairs | {(other, key) for key, other in pairs}
    return {key: frozenset(b for a, b in both_ways if a == key) for key in topology}


def _target(
    key: str,
    section: TargetSection,
    excludes: frozenset[str],
    topology: Mapping[str, TargetSection],
) -> Target:
    redis, postgres = section.redis, section.address
    target = Target(
        key=key,
        tier=section.tier,
        container=section.container,
        probes=tuple(section.probes),
        depends_on=tuple(section.depends_on),
        excludes=excludes,
        redis=RedisAddress(**redis.model_dump()) if redis else None,
        postgres=PostgresAddress(**postgres.model_dump()) if postgres else None,
        backup=_backup(section.backup) if section.backup else None,
        switch=_switch(section.switch, topology) if section.switch else None,
        compose=_compose(section.compose) if section.compose else None,
    )
    return with_stack(target, section, {key: other.container for key, other in topology.items()})


def _compose(section: ComposeSection) -> ComposeProject:
    return ComposeProject(
        name=section.project,
        files=tuple(section.files),
        engine_url=section.engine,
        services=tuple(section.services),
        environment=dict(section.environment),
    )


def _backup(section: BackupSection) -> BackupFiles:
    scratch = section.scratch
    return BackupFiles(
        folder=section.folder,
        pattern=section.pattern,
        member=section.member,
        status_file=section.status_file,
        scratch=PostgresAddress(**scratch.model_dump()) if scratch else None,
    )


def _switch(section: SwitchSection, topology: Mapping[str, TargetSection]) -> ColourSwitch:
    return ColourSwitch(
        file=section.file,
        nginx_container=topology[section.nginx].container or section.nginx,
        live_url=section.live_url,
        colours=dict(section.colours),
        ready_probes=dict(section.ready_probes),
        containers={
            colour: tuple(topology[name].container or name for name in (key, *along))
            for colour, key in section.colours.items()
            for along in [section.along.get(colour, [])]
        },
    )


def _step(section: StepSection) -> Step:
    return Step(
        id=section.id,
        action=section.action,
        params=section.with_,
        timeout_seconds=section.timeout,
        repeat=Repeat(section.repeat),
        even_if_cleared=section.even_if_cleared,
    )


def _runbook(section: RunbookSection) -> Runbook:
    return Runbook(
        id=section.id,
        alerts=tuple(section.alerts),
        target_key=section.target.key,
        target_label=section.target.from_label,
        risk=Risk(section.risk),
        firing_for_seconds=section.firing_for,
        limits=RunLimits(section.limits.cooldown, section.limits.attempts, section.limits.per),
        steps=tuple(map(_step, section.steps)),
        verify=Verification(
            checks=tuple(_check(check) for check in section.verify.all),
            within_seconds=section.verify.within,
            interval_seconds=section.verify.interval,
            consecutive=section.verify.consecutive,
            settle_seconds=section.verify.settle,
            hold_seconds=section.verify.hold,
        ),
        ladder=tuple(section.ladder),
        mode=Mode(section.mode or _MODE_OF_RISK[section.risk]),
        window=section.window,
        after_deploy=section.after_deploy,
        confirm=tuple(_check(check) for check in section.confirm),
        unless_firing=frozenset(section.unless_firing),
    )


def _check(section: CheckSection) -> CheckSpec:
    if section.probes is not None:
        return ProbesCheck(tuple(section.probes) or None)
    if section.promql is not None:
        return PromqlCheck(section.promql.expr, section.promql.above, section.promql.below)
    return RunningCheck() if section.running else AlertCleared()
