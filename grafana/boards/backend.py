"""What users get: requests, failures, latency, the error budget; blue beside green.

The requests are the application's own counters, scraped as the job `backend`.
"""

from grafana import runbook
from grafana.board import Board
from grafana.parts import (
    BLUE,
    GREEN,
    GREY,
    RED,
    YELLOW,
    bands,
    label,
    limited,
    lines,
    now,
    number,
    painted,
    query,
    row,
    rows,
    stacked,
    steps,
    timeline,
    words,
)

BURN = steps((None, GREEN), (runbook.BURN_PAGE_LONGER, YELLOW), (runbook.BURN_PAGE, RED))
SLOW_SECONDS = bands(runbook.LATENCY)
COLOURS = {"blue": BLUE, "green": GREEN}

BUDGET = runbook.BUDGET
USERS = 'job="backend",path=~"/api/.+"'
FAILED = ',status=~"5.."'


def requests(window: str, by: str = "", which: str = "") -> str:
    group = f" by ({by})" if by else ""
    return f"sum{group} (increase(http_requests_total{{{USERS}{which}}}[{window}]))"


def failed(window: str, by: str = "") -> str:
    """The share of requests that failed; 0 when none did, absent without requests."""
    every = requests(window, by)
    return f"({requests(window, by, FAILED)} or {every} * 0) / ({every} > 0)"


def slowest(quantile: float, by: str = "") -> str:
    group = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({quantile}, sum by ({group})"
        f" (rate(http_request_duration_seconds_bucket{{{USERS}}}[$__rate_interval])))"
    )


IS_IT_WELL = (
    label(
        (1, "Live colour"),
        "The colour that nginx serves now, as nginx itself says.",
        now("service_live_colour == 1", "{{colour}}"),
    ).no_value("nobody can tell"),
    number(
        (2, "Ready"),
        "Colours whose /health/ready answers well; the live one must.",
        now('max by (colour) (probe_success{target=~"backend-.+-ready"})', "{{colour}}"),
        colours=steps((None, RED), (1, GREEN)),
    ).mappings(words({"1": ("yes", GREEN), "0": ("NO", RED)})),
    number(
        (3, "Requests a second"),
        "Of both colours.",
        now(f"{requests('5m')} / 300"),
        unit="reqps",
    ).decimals(1),
    number(
        (4, "Failed requests, 5 min"),
        "Share of the requests that the backend answered with 5xx.",
        now(failed("5m")),
        unit="percentunit",
        colours=steps((None, GREEN), (BUDGET, YELLOW), (BUDGET * runbook.BURN_PAGE, RED)),
    ),
    number(
        (5, "Slowest 5 %, 5 min"),
        "They take at least that long.",
        now(
            "histogram_quantile(0.95, sum by (le)"
            f" (increase(http_request_duration_seconds_bucket{{{USERS}}}[5m])))"
        ),
        unit="s",
        colours=SLOW_SECONDS,
    ),
    number(
        (6, "Error budget left, 30 days"),
        f"Of the requests that may fail at {runbook.OBJECTIVE:.1%} availability.",
        now(f"1 - {failed('30d')} / {BUDGET}"),
        unit="percentunit",
        colours=steps((None, RED), (0, YELLOW), (0.25, GREEN)),
    ).decimals(0),
)

WHAT_IS_WRONG = (
    timeline(
        (11, "Probes by colour"),
        "Health, readiness and a user's request, of both colours.",
        query(
            'max by (target) (probe_success{colour!=""} or probe_success{target="site"})',
            "{{target}}",
        ),
        explains=["LiveColourUnhealthy", "SiteDown", "BackendNotReady"],
    ),
    timeline(
        (12, "Health components"),
        "What /health/detailed says of what the backend needs.",
        query("max by (service, component) (health_component_up)", "{{service}} {{component}}"),
        explains=["HealthComponentDegraded"],
    ),
    timeline(
        (17, "Colour that has the traffic"),
        "As nginx says. A change is a deployment, or a rollback.",
        query("max by (colour) (service_live_colour)", "{{colour}}"),
        texts={"1": ("live", BLUE), "0": ("stands by", GREY)},
        explains=["ColourMismatch", "ColourSwitched"],
    )
    .span(24)
    .height(4),
)

HOW_MUCH = (
    limited(
        (7, "Burn rate"),
        "How many times faster than allowed the error budget is spent, over an hour and over six."
        " Above 14.4 it is gone in two days: page. Above 6, in five: look today.",
        query(f"{failed('1h')} / {BUDGET}", "1 h"),
        query(f"{failed('6h')} / {BUDGET}", "6 h"),
        limits=BURN,
        unit="short",
        explains=["BackendErrorBudgetBurnFast", "BackendErrorBudgetBurnSlow"],
    ).axis_soft_max(runbook.BURN_PAGE),
    limited(
        (10, "Latency"),
        "Half, 95 % and 99 % of the requests take no longer.",
        query(slowest(0.5), "p50"),
        query(slowest(0.95), "p95"),
        query(slowest(0.99), "p99"),
        limits=SLOW_SECONDS,
        unit="s",
        explains=["BackendLatencyHigh"],
    ),
    painted(
        lines(
            (8, "Requests, blue and green"),
            "Requests a second by colour; the one that stands by gets the probes alone.",
            query(
                f"sum by (colour) (rate(http_requests_total{{{USERS}}}[$__rate_interval]))",
                "{{colour}}",
            ),
            unit="reqps",
        ),
        COLOURS,
    ),
    painted(
        limited(
            (9, "Failed requests, blue and green"),
            "Share of the requests answered with 5xx, by colour.",
            query(failed("5m", "colour"), "{{colour}}"),
            limits=steps((None, GREEN), (BUDGET, YELLOW), (BUDGET * runbook.BURN_PAGE, RED)),
        ),
        COLOURS,
    ),
    lines(
        (13, "Health components: latency"),
        "How long each component took to answer, by the health document.",
        query(
            "max by (service, component) (health_component_latency_seconds)",
            "{{service}} {{component}}",
        ),
        unit="s",
    ),
    stacked(
        (14, "Restarts of the colours"),
        "Restarts by the engine: the backend ended by itself.",
        query(
            'sum by (service) (increase(container_restarts_total{service=~"backend-.+"}'
            "[$__rate_interval]))",
            "{{service}}",
        ),
        explains=["LiveColourCrashLoop"],
    ),
    lines(
        (15, "nginx: requests"),
        "Requests a second that nginx took, static files and its own pages included.",
        query(
            "sum by (service) (rate(nginx_http_requests_total[$__rate_interval]))", "{{service}}"
        ),
        unit="reqps",
    ),
    lines(
        (18, "nginx: connections"),
        "Client connections. Reading and writing ones are being served, waiting ones are idle.",
        query("sum(nginx_connections_reading)", "reading"),
        query("sum(nginx_connections_writing)", "writing"),
        query("sum(nginx_connections_waiting)", "waiting"),
        unit="short",
    ),
)

WHICH_ONE = (
    rows(
        (16, "Paths"),
        "Of an hour: how often, how slow, how many failed.",
        row(f"round({requests('1h', 'path')}) > 0"),
        row(
            "histogram_quantile(0.95, sum by (le, path)"
            f" (increase(http_request_duration_seconds_bucket{{{USERS}}}[1h]))) >= 0"
        ),
        row(f"{failed('1h', 'path')}"),
        columns={
            "path": "Path",
            "Value #A": "Requests",
            "Value #B": "Slowest 5 %",
            "Value #C": "Failed",
        },
        units={"Slowest 5 %": "s", "Failed": "percentunit"},
        sort=("Slowest 5 %", True),
    ).span(14),
    rows(
        (19, "Releases"),
        "The image that each colour runs, and since when.",
        row('max by (service, image) (container_start_time_seconds{service=~"backend-.+"}) * 1000'),
        columns={"service": "Service", "image": "Image", "Value": "Started"},
        units={"Started": "dateTimeFromNow"},
        sort=("Service", False),
    ).span(10),
)

BOARD = Board(
    uid="stackmedic-backend",
    title="Backend and SLO",
    text="What users get: requests, failures, latency, the error budget; blue beside green.",
    shows_services=False,
    rows={
        "Is it well?": IS_IT_WELL,
        "What is wrong": WHAT_IS_WRONG,
        "How it got there": HOW_MUCH,
        "Which one exactly": WHICH_ONE,
    },
)
