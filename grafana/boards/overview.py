"""The page to open first: is it well, what is wrong, is somebody on it."""

from grafana_foundation_sdk.models.dashboard import DynamicConfigValue

from grafana import runbook
from grafana.board import Board
from grafana.parts import (
    BLUE,
    DARK_RED,
    GREEN,
    NONE_IS_GOOD,
    ORANGE,
    OUTCOMES,
    RED,
    SERVICE,
    YELLOW,
    Words,
    bands,
    gauges,
    label,
    now,
    number,
    painted,
    place_of,
    query,
    row,
    rows,
    stacked,
    steps,
    timeline,
    to,
    word,
)

# Colour by state; the place of a state is the number that the timeline's query makes of it.
STATES = {
    "running": GREEN,
    "created": BLUE,
    "paused": BLUE,
    "restarting": YELLOW,
    "removing": YELLOW,
    "exited": RED,
    "dead": RED,
    "missing": DARK_RED,
}
STATE_WORDS: Words = {str(i): (state, colour) for i, (state, colour) in enumerate(STATES.items())}
STATE = place_of("compose_service_state", "state", list(STATES))


def one_is(colour: str) -> list[DynamicConfigValue]:
    return [DynamicConfigValue("thresholds", steps((None, GREEN), (1, colour)).build())]


ENDS = {
    state: OUTCOMES[state]
    for state in ("effective", "ineffective", "inconclusive", "failed", "interrupted", "cancelled")
}
AVAILABILITY = 'avg(avg_over_time(probe_success{target="site"}[30d]))'
SERVICE_PAGE = to("stackmedic-services", "services", "var-service=${__field.labels.service}")

IS_IT_WELL = (
    word(
        (12, "Site"),
        "A user's request through nginx, backend, cache and database.",
        now('max(probe_success{target="site"})'),
        {"1": ("serving", GREEN), "0": ("DOWN", RED)},
        explains=["SiteDown"],
    ).span(2),
    label(
        (4, "Live colour"),
        "The colour that nginx serves now, as nginx itself says.",
        now("service_live_colour == 1", "{{colour}}"),
    )
    .span(3)
    .no_value("nobody can tell"),
    number(
        (10, "Firing alerts"),
        "Alerts that fire now, by severity. P0 and P1 wake somebody up.",
        *(
            now(
                f'count(ALERTS{{alertstate="firing",severity="{severity}"}}) or vector(0)', severity
            )
            for severity in ("P0", "P1", "P2", "P3")
        ),
        colours=NONE_IS_GOOD,
    )
    .span(4)
    .override_by_name("P2", one_is(ORANGE))
    .override_by_name("P3", one_is(BLUE)),
    number(
        (11, "Not running"),
        "Services of the configuration without a running container.",
        now('count(compose_service_state{state="running"} == 0) or vector(0)'),
        colours=NONE_IS_GOOD,
    ).span(3),
    number(
        (14, "Not mended"),
        "Open incidents at the end of their ladder: a human must take over.",
        now("sum(remediator_runs_not_mended)"),
        colours=NONE_IS_GOOD,
    ).span(3),
    label(
        (16, "On call"),
        "The team that is called, by the rota.",
        now("oncall_current == 1", "{{team}}"),
    )
    .span(3)
    .no_value("no rota"),
    number(
        (17, "Availability, 30 d"),
        "Share of the exporter's requests to the site that were answered well.",
        now(AVAILABILITY),
        unit="percentunit",
        colours=steps((None, RED), (runbook.OBJECTIVE, GREEN)),
    )
    .span(3)
    .decimals(3),
    number(
        (18, "Budget left"),
        f"Of the time that the site may be down in 30 days: {runbook.OBJECTIVE:.1%} are promised.",
        now(f"1 - (1 - {AVAILABILITY}) / {runbook.BUDGET}"),
        unit="percentunit",
        colours=steps((None, RED), (0, YELLOW), (0.25, GREEN)),
    )
    .span(3)
    .decimals(0),
)

WHAT_IS_WRONG = (
    rows(
        (3, "Alerts"),
        "What fires or is about to, without the watchdog, and since when. The alert's name leads to"
        " its history, the service to its page.",
        row(
            "max by (severity, alertname, service, colour, alertstate, remediation)"
            ' (ALERTS{severity!="none"})'
            " * on (alertname, service, colour) group_left ()"
            " (time() - min by (alertname, service, colour) (ALERTS_FOR_STATE))"
        ),
        columns={
            "severity": "Severity",
            "alertname": "Alert",
            "service": "Service",
            "colour": "Colour",
            "alertstate": "State",
            "Value": "For",
            "remediation": "Remediation",
        },
        units={"For": "s"},
        links={
            "Alert": to(
                "stackmedic-alerting", "alerting-pipeline", "var-alert=${__data.fields.Alert}"
            ),
            "Service": to(
                "stackmedic-services", "services", "var-service=${__data.fields.Service}"
            ),
        },
        sort=("Severity", False),
        explains=["Watchdog"],
    ).height(7),
    timeline(
        (1, "Services"),
        "State of every service that should exist; missing is one, too.",
        query(STATE, "{{service}}"),
        texts=STATE_WORDS,
        link=SERVICE_PAGE,
    ),
    timeline(
        (2, "Probes"),
        "Requests that the exporter makes at every scrape: health, readiness, a user's request.",
        query('max by (target) (probe_success{service=~"$service|site"})', "{{target}}"),
        explains=["SiteDown"],
    ),
)

HOW_MUCH = (
    gauges(
        (5, "CPU"),
        "Of its quota, or of the machine without one. Expected below 60 %, alert at 80 %.",
        now(f"service:container_cpu_used:ratio{{{SERVICE}}}", "{{service}}"),
        limits=bands(runbook.CPU),
    )
    .span(5)
    .max(1),
    gauges(
        (9, "Memory"),
        "Of its limit, where there is one. Expected below 70 %, alert at 85 %.",
        now(f"service:container_memory_used:ratio{{{SERVICE}}}", "{{service}}"),
        limits=bands(runbook.MEMORY),
    )
    .span(5)
    .max(1),
    gauges(
        (15, "Disks"),
        "Used of what users may fill. Expected below 80 %, alert at 90 %.",
        now("mountpoint:filesystem_used:ratio", "{{mountpoint}}"),
        limits=bands(runbook.DISK),
    )
    .span(5)
    .max(1),
    gauges(
        (6, "Redis memory"),
        "Used of maxmemory. Expected below 70 %, alert at 85 %.",
        now("service:redis_memory_used:ratio", "{{service}}"),
        limits=bands(runbook.REDIS_MEMORY),
    )
    .span(4)
    .max(1),
    gauges(
        (7, "Errors in 24 h"),
        "Error lines logged. Expected below 10, alert at 50.",
        now(
            f"sum by (service) (increase(container_log_messages_total{{{SERVICE},"
            'level=~"error|critical"}[24h]))',
            "{{service}}",
        ),
        limits=bands(runbook.ERRORS_24H),
        unit="short",
    )
    .span(5)
    .decimals(0)
    .max(100),
)

WHAT_WAS_DONE = (
    number(
        (13, "Mended, 24 h"),
        "Runs that were verified to have mended the fault.",
        now('sum(increase(remediator_runs_total{state="effective"}[24h]))'),
    )
    .decimals(0)
    .height(7),
    painted(
        stacked(
            (8, "Remediations"),
            "Runs by runbook entry and by how they ended. Green helped, red needs a human.",
            query(
                "sum by (runbook, state) (increase(remediator_runs_total{"
                f'state=~"{"|".join(ENDS)}"}}[$__rate_interval])) > 0',
                "{{runbook}} {{state}}",
            ),
        ),
        {f"/ {state}$/": colour for state, colour in ENDS.items()},
    )
    .span(20)
    .height(7)
    .no_value("nothing was done"),
)

BOARD = Board(
    uid="stackmedic-overview",
    title="Stack overview",
    text="Is it well, what is wrong, and is somebody on it.",
    rows={
        "Is it well?": IS_IT_WELL,
        "What is wrong": WHAT_IS_WRONG,
        "How much is used": HOW_MUCH,
        "What was done": WHAT_WAS_DONE,
    },
)
