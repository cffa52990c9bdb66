"""From scrape to pager: what would keep an alert from being heard, and which alerts there were."""

from grafana import runbook
from grafana.board import Board
from grafana.parts import (
    BLUE,
    GREEN,
    GREY,
    NONE_IS_GOOD,
    RED,
    SERVICE,
    YELLOW,
    bands,
    label,
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
    word,
)

UP = {"1": ("up", GREEN), "0": ("DOWN", RED)}
ALERT = f'alertname=~"$alert",{SERVICE}'
MANAGER = "alertmanager_notifications"

IS_IT_WELL = (
    word(
        (1, "Exporter"),
        "Whether Prometheus could scrape it. Without it no alert about the stack can begin.",
        now('max(up{job="stackmedic-exporter"}) or vector(0)'),
        UP,
        explains=["ExporterDown"],
    ).span(3),
    word(
        (2, "Remediator"),
        "Whether Prometheus could scrape it. Without it humans are told and nothing is mended.",
        now('max(up{job="stackmedic-remediator"}) or vector(0)'),
        UP,
        explains=["RemediatorDown"],
    ).span(3),
    number(
        (3, "Watchdog seen"),
        "How long ago the alert that always fires came all the way to the remediator.",
        now("time() - max(remediator_watchdog_last_seen_timestamp_seconds)"),
        unit="s",
        colours=bands(runbook.WATCHDOG_SECONDS),
        explains=["WatchdogMissing"],
    ).span(3),
    number(
        (4, "Sends failed, 1 h"),
        "Messages that Alertmanager could not deliver.",
        now(f"sum(increase({MANAGER}_failed_total[1h]))"),
        colours=NONE_IS_GOOD,
    )
    .span(3)
    .decimals(0),
    number(
        (5, "Rules failed, 1 h"),
        "Evaluations of rules that ended in an error.",
        now("sum(increase(prometheus_rule_evaluation_failures_total[1h]))"),
        colours=NONE_IS_GOOD,
        explains=["PrometheusRuleFailures"],
    )
    .span(3)
    .decimals(0),
    label(
        (6, "On call now"),
        "The team that is called, by the rota.",
        now("oncall_current == 1", "{{team}}"),
        explains=["OnCallNobody"],
    )
    .span(3)
    .no_value("no rota"),
    number(
        (7, "Rota ends in"),
        "After it nobody is on call but the fallback.",
        now("min(oncall_ends_timestamp_seconds) - time()"),
        unit="s",
        colours=steps((None, RED), (7 * runbook.DAY, YELLOW), (28 * runbook.DAY, GREEN)),
        explains=["OnCallRotaEnding"],
    )
    .span(3)
    .decimals(0)
    .no_value("no rota"),
    word(
        (8, "Configurations"),
        "Whether Prometheus, Alertmanager and the exporter run on the files as they are.",
        now(
            "min(prometheus_config_last_reload_successful"
            " or alertmanager_config_last_reload_successful"
            " or stackmedic_config_last_reload_successful)"
        ),
        {"1": ("in force", GREEN), "0": ("REFUSED", RED)},
        explains=[
            "AlertmanagerConfigReloadFailed",
            "PrometheusConfigReloadFailed",
            "ExporterConfigReloadFailed",
        ],
    ).span(3),
)

WHAT_IS_WRONG = (
    timeline(
        (9, "Alerts"),
        "Each alert while it was about to fire and while it fired.",
        query(
            f'max by (alertname, service) (ALERTS{{{ALERT},alertstate="firing"}}) * 2'
            f' or max by (alertname, service) (ALERTS{{{ALERT},alertstate="pending"}})',
            "{{alertname}} {{service}}",
        ),
        texts={"1": ("pending", YELLOW), "2": ("fires", RED)},
        explains=["Watchdog"],
    )
    .span(24)
    .height(14)
    .span_nulls(span_nulls=False),
    timeline(
        (17, "Scrapes"),
        "Whether Prometheus could read each target.",
        query("min by (job, instance) (up)", "{{job}} {{instance}}"),
        texts=UP,
        explains=["TargetDown", "AlertmanagerDown"],
    ),
    timeline(
        (10, "Collectors"),
        "Whether the exporter could read each of its sources.",
        query("min by (collector) (stackmedic_scrape_collector_success)", "{{collector}}"),
        explains=["CollectorFailing"],
    ),
    timeline(
        (16, "On call"),
        "Which team was called when.",
        query("max by (team) (oncall_current)", "{{team}}"),
        texts={"0": ("off", GREY), "1": ("on call", BLUE)},
    )
    .span(24)
    .height(5)
    .no_value("no rota"),
    timeline(
        (15, "Escalations"),
        "Pages that nobody acknowledged in time and that went on to the next person.",
        query(
            "max by (alertname, service)"
            ' (ALERTS{alertstate="firing",alertname=~"P[01]Unacknowledged.+"})'
            ' or label_replace(0 * max(up{job="prometheus"}), "alertname", "none", "", "")',
            "{{alertname}} {{service}}",
        ),
        texts={"0": ("none", GREY), "1": ("ESCALATED", RED)},
        explains=["P0UnacknowledgedLead", "P0UnacknowledgedCto", "P1UnacknowledgedAgain"],
    )
    .span(24)
    .height(4),
)

HOW_MUCH = (
    painted(
        stacked(
            (11, "Notifications, by way"),
            "Sent, and failed.",
            query(
                f"sum by (integration) (increase({MANAGER}_total[$__rate_interval])) > 0",
                "{{integration}} sent",
            ),
            query(
                f"sum by (integration) (increase({MANAGER}_failed_total[$__rate_interval])) > 0",
                "{{integration}} FAILED",
            ),
            explains=["AlertmanagerNotificationsFailing", "PrometheusNotificationsFailing"],
        ),
        {"/ FAILED$/": RED},
    ),
    lines(
        (12, "Alerts told, and hidden"),
        "Alerts that Alertmanager holds; suppressed ones are silenced or inhibited. Silences beside"
        " them.",
        query("sum by (state) (alertmanager_alerts)", "{{state}}"),
        query('sum(alertmanager_silences{state="active"})', "silences"),
        unit="short",
    ),
    lines(
        (13, "Rule evaluation"),
        "How long each group took. Longer than the interval means missed evaluations.",
        query(
            "max by (group) (label_replace(prometheus_rule_group_last_duration_seconds,"
            ' "group", "$1", "rule_group", ".*;(.+)"))',
            "{{group}}",
        ),
        unit="s",
    ),
    lines(
        (18, "Scrape duration"),
        "Of each target; the limit is 10 s.",
        query("max by (job, instance) (scrape_duration_seconds)", "{{job}} {{instance}}"),
        unit="s",
    ),
    lines(
        (19, "Collectors: duration"),
        "How long the exporter took to read each of its sources.",
        query("max by (collector) (stackmedic_scrape_collector_duration_seconds)", "{{collector}}"),
        unit="s",
    ),
    stacked(
        (20, "Webhooks at the remediator"),
        "Deliveries by the status answered; 503 is told again.",
        query(
            "sum by (code) (increase(remediator_webhook_requests_total[$__rate_interval])) > 0",
            "{{code}}",
        ),
    ),
)

NOISE = f'{ALERT},alertname!="Watchdog"'

WHICH_ONE = (
    rows(
        (14, "Noisiest alerts, 30 days"),
        "How often each began to wait or to fire, and how long it fired in all. One that nobody"
        " acts on should go.",
        row(f"topk(20, sum by (alertname) (changes(ALERTS_FOR_STATE{{{NOISE}}}[30d]) + 1))"),
        row(
            "sum by (alertname)"
            f' (count_over_time(ALERTS{{{NOISE},alertstate="firing"}}[30d]))'
            " * scalar(max(prometheus_rule_group_interval_seconds))"
            f" or sum by (alertname) (0 * count_over_time(ALERTS{{{NOISE}}}[30d]))"
        ),
        columns={"alertname": "Alert", "Value #A": "Began", "Value #B": "Fired for"},
        units={"Fired for": "s"},
        sort=("Fired for", True),
    ).height(10),
)

BOARD = Board(
    uid="stackmedic-alerting",
    title="Alerting pipeline",
    text="From scrape to pager: what would keep an alert from being heard, and which there were.",
    variables={"alert": ("Alert", "label_values(ALERTS, alertname)")},
    span="now-24h",
    rows={
        "Would an alert be heard?": IS_IT_WELL,
        "What fires": WHAT_IS_WRONG,
        "How it went": HOW_MUCH,
        "Which one exactly": WHICH_ONE,
    },
)
