"""`morning-check` and `weekly-review`: the runbook's looks at the stack, for cron and for people.

Rule: reads only. Exit status: 0 nothing for an alert, 1 an alert, 2 something cannot be told.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from remediator.actions import ACTIONS
from remediator.config import Config, load_config
from remediator.config_mistakes import ConfigError
from remediator.ports import Transient
from remediator.prometheus import Prometheus
from remediator.reports import morning as mornings
from remediator.reports import outside
from remediator.reports.rendering import FORMATS, rendered
from remediator.reports.rows import Report, Section, Thresholds, Verdict
from remediator.reports.thresholds import BadThresholds, load_thresholds
from remediator.reports.weekly import weekly
from remediator.shown import plain

CANNOT = 2
STATUS: Mapping[Verdict, int] = {Verdict.ALERT: 1, Verdict.UNKNOWN: CANNOT}

_format = click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True
)
_prometheus = click.option(
    "--prometheus", envvar="STACKMEDIC_PROMETHEUS", metavar="URL",
    help="Where to ask instead of the configuration's prometheus.url.",
)  # fmt: skip
_exporter = click.option(
    "--exporter", envvar="STACKMEDIC_EXPORTER", metavar="URL",
    help="Where to ask instead of the configuration's exporter.url.",
)  # fmt: skip
_thresholds = click.option(
    "--thresholds", type=click.Path(path_type=Path, dir_okay=False),
    help="Instead of the runbook's, which come with the program.",
)  # fmt: skip


def _load(context: click.Context, file: Path | None) -> tuple[Config, Thresholds]:
    """Leaves the program when one of them cannot be read."""
    options = context.find_root().params
    try:
        config = load_config(options["config_file"], ACTIONS, options["profile"])
        return config, load_thresholds(file)
    except (ConfigError, BadThresholds) as error:
        click.echo("\n".join(map(plain, str(error).splitlines())), err=True)
        raise SystemExit(CANNOT) from None


def _tell(report: Report, form: str) -> None:
    click.echo(rendered(report, form))
    raise SystemExit(STATUS.get(report.verdict, 0))


@click.command("morning-check")
@_format
@_prometheus
@_thresholds
@click.pass_context
def morning_check(
    context: click.Context, /, form: str, prometheus: str | None, thresholds: Path | None
) -> None:
    """The daily health check: services, endpoints, resources, disks, errors, users, alerts."""
    config, bounds = _load(context, thresholds)
    with closing(_prometheus_of(config, prometheus)) as source:
        report = mornings.morning(
            source.query,
            bounds,
            is_data=partial(_is_data, config),
            users=_users(config, source),
            at=datetime.now(UTC),
        )
    _tell(report, form)


def _is_data(config: Config, service: str) -> bool:
    target = config.policy.topology.get(service)
    return target is not None and target.tier == "data"


def _users(config: Config, source: Prometheus) -> Callable[[], Section]:
    section = config.active_users
    if section is None:
        return partial(mornings.users_of_prometheus, source.query, mornings.USERS)
    if section.promql is not None:
        return partial(mornings.users_of_prometheus, source.query, section.promql)
    address = config.policy.topology[section.target or ""].postgres
    if address is None:
        raise AssertionError("the configuration is checked: the target has an address")
    return partial(outside.counted_by_sql, address, section.sql or "")


@click.command("weekly-review")
@_format
@_prometheus
@_exporter
@_thresholds
@click.option(
    "--url", envvar="STACKMEDIC_URL", default="http://localhost:9181", show_default=True,
    help="Of the remediator, for the week's incidents.",
)  # fmt: skip
@click.option(
    "--token-file", envvar="STACKMEDIC_TOKEN_FILE", type=click.Path(path_type=Path),
    default="/run/secrets/remediator_token", show_default=True,
)  # fmt: skip
@click.option(
    "--texts-from", metavar="TARGET",
    help="Read the texts of queries from this target's database, read-only.",
)  # fmt: skip
@click.pass_context
def weekly_review(
    context: click.Context,
    /,
    *,
    form: str,
    prometheus: str | None,
    exporter: str | None,
    thresholds: Path | None,
    url: str,
    token_file: Path,
    texts_from: str | None,
) -> None:
    """What recurs, what is slow, what grows, and what was mended in the last seven days."""
    config, bounds = _load(context, thresholds)
    exporter_url = exporter or config.exporter_url
    with closing(_prometheus_of(config, prometheus)) as source:
        report = weekly(
            source.query,
            bounds,
            errors=partial(outside.error_texts, exporter_url),
            queries=_texts(config, source, texts_from),
            incidents=partial(_incidents, url, token_file),
            at=datetime.now(UTC),
        )
    _tell(report, form)


def _incidents(url: str, token_file: Path) -> Sequence[Mapping[str, Any]]:
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Transient(f"cannot read the token: {error}") from error
    return outside.listed_incidents(url, token)


def _texts(
    config: Config, source: Prometheus, target: str | None
) -> Callable[[], Mapping[str, str]]:
    """From the database where one is named, else as far as the exporter tells them."""
    if target is None:
        return partial(_told_texts, source)
    found = config.policy.topology.get(target)
    if found is None or found.postgres is None:
        raise click.BadParameter(
            f"{target!r} is no target with an address", param_hint="texts-from"
        )
    return partial(outside.query_texts, found.postgres)


def _told_texts(source: Prometheus) -> Mapping[str, str]:
    try:
        told = source.query("pg_stat_statements_query_id")
    except Transient:
        return {}
    return {s.labels.get("queryid", ""): s.labels.get("query", "") for s in told}


def _prometheus_of(config: Config, url: str | None) -> Prometheus:
    config = replace(config, prometheus_url=url or config.prometheus_url)
    return Prometheus(
        config.prometheus_url, freshness_job=config.freshness_job, timeout_seconds=30.0
    )
