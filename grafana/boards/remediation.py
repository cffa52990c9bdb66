"""What the remediator decided and did, whether it helped, and where a human must take over."""

from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana import runbook
from grafana.board import Board
from grafana.parts import (
    BLUE,
    GREEN,
    NONE_IS_GOOD,
    OUTCOMES,
    RED,
    SERVICE,
    YELLOW,
    Query,
    bands,
    label,
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

RUNBOOK = 'runbook=~"$runbook"'
AT_WORK = f"remediator_run_in_progress{{{SERVICE}}}"
MENDABLE = 'alertstate="firing",severity!="none",remediation!~"|manual"'
LOGGED = f'{RUNBOOK},state!~"claimed|verifying"'
TOLD = "remediator_time_to"


def quantile(share: float, what: str) -> str:
    return (
        f"histogram_quantile({share}, sum by (le)"
        f" (increase({TOLD}_{what}_seconds_bucket{{{RUNBOOK}}}[$__range])))"
    )


def firing_time(matcher: str) -> str:
    """Mean time that an alert fires: evaluations in which it did, by how often it began.

    An alert that waited and never fired does not count.
    """
    fired = f'count_over_time(ALERTS{{alertstate="firing",{matcher}}}[$__range])'
    began = f"changes(ALERTS_FOR_STATE{{{matcher}}}[$__range]) + 1"
    return (
        f"sum({fired}) * max(prometheus_rule_group_interval_seconds)"
        f" / sum({began} and ignoring (alertstate) {fired})"
    )


IS_IT_WELL = (
    label(
        (1, "Mode"),
        "auto: runs are carried out. approve: a human allows each. observe: nothing is touched.",
        now("remediator_mode == 1", "{{mode}}"),
        explains=["RemediatorObserves"],
    ).span(2),
    word(
        (2, "Paused"),
        "A human has paused the remediator: it begins nothing.",
        now("max(remediator_paused)"),
        {"0": ("no", GREEN), "1": ("PAUSED", YELLOW)},
        explains=["RemediatorPaused"],
    ).span(2),
    number(
        (3, "Running"),
        "Services on which a run is at work.",
        now(f"sum(remediator_run_in_progress{{{SERVICE}}})"),
        explains=["RemediationInProgress"],
    ).span(2),
    number(
        (4, "Needs approval"),
        "Runs that only need a human's word.",
        now(f"sum(remediator_approvals_waiting{{{SERVICE}}})"),
        colours=steps((None, GREEN), (1, YELLOW)),
        explains=["RemediationAwaitsApproval"],
    ).span(3),
    number(
        (5, "Not mended"),
        "Open incidents at the end of their ladder: a human must take over.",
        now(f"sum(remediator_runs_not_mended{{{SERVICE}}})"),
        colours=NONE_IS_GOOD,
        explains=["RemediationNotMended", "RemediationFailed"],
    ).span(3),
    number(
        (6, "Breakers open"),
        "Entries that failed too often on a service; they are off until a human resets them.",
        now(f"sum(remediator_breaker_open{{{SERVICE},{RUNBOOK}}})"),
        colours=NONE_IS_GOOD,
    ).span(3),
    number(
        (7, "Acknowledged"),
        "Services with an open incident that somebody has taken.",
        now(f"sum(remediator_incident_acknowledged{{{SERVICE}}})"),
    ).span(3),
    number(
        (8, "Mended, 24 h"),
        "Of the runs that came to an end, those that were verified to have helped.",
        now(
            'sum(increase(remediator_runs_total{state="effective"}[24h])) / (sum(increase('
            'remediator_runs_total{state=~"effective|ineffective|inconclusive|failed"}[24h])) > 0)'
        ),
        unit="percentunit",
        colours=steps((None, RED), (0.5, YELLOW), (0.9, GREEN)),
    )
    .span(3)
    .decimals(0)
    .no_value("no run"),
    number(
        (18, "Looked before"),
        "When the remediator last read Prometheus; old data blocks every run.",
        now("time() - max(remediator_reconcile_last_success_timestamp_seconds)"),
        unit="s",
        colours=bands(runbook.RECONCILE_SECONDS),
        explains=["RemediatorStale"],
    ).span(3),
)

WHAT_IS_WRONG = (
    timeline(
        (10, "Alerts and runs"),
        "Red: an alert that can be mended fires. Blue: a run is at work on the service.",
        query(
            f"max by (service) ({AT_WORK}) * 2 > 0"
            f" or max by (service) (ALERTS{{{SERVICE},{MENDABLE}}})"
            f" or max by (service) ({AT_WORK})",
            "{{service}}",
        ),
        texts={"0": ("well", GREEN), "1": ("an alert fires", RED), "2": ("a run is at work", BLUE)},
        explains=["RemediationStorm"],
    ),
    timeline(
        (11, "Breakers"),
        "Entries that are off for a service after they failed too often.",
        query(
            f"max by (runbook, service) (remediator_breaker_open{{{SERVICE},{RUNBOOK}}}) > 0"
            " or label_replace(max by (service)"
            f' (remediator_breaker_open{{{SERVICE},{RUNBOOK}}}), "runbook", "all", "", "")',
            "{{service}} {{runbook}}",
        ),
        texts={"0": ("on", GREEN), "1": ("OFF", RED)},
        explains=["RemediatorBreakerOpen"],
    ),
    rows(
        (12, "Decision log"),
        "Which entry did what, the newest first. The remediator's own page tells of each run why,"
        " step by step.",
        Query()
        .expr(
            # The difference to one step before is exact: no event is counted twice or lost.
            f"sum by (runbook, state) (remediator_runs_total{{{LOGGED}}}"
            f" - remediator_runs_total{{{LOGGED}}} offset $__interval > 0)"
        )
        .range()
        .format(PromQueryFormat.TABLE),
        columns={"Time": "When", "runbook": "Entry", "state": "What became of it", "Value": "Runs"},
        sort=("When", True),
    ).height(10),
)

HOW_MUCH = (
    painted(
        stacked(
            (9, "Runs by how they went"),
            "Each state that a run entered; effective and held is good.",
            query(
                "sum by (state) (increase(remediator_runs_total{"
                f'{RUNBOOK},state=~"{"|".join(OUTCOMES)}"}}[$__rate_interval])) > 0',
                "{{state}}",
            ),
        ),
        OUTCOMES,
    ).no_value("no run"),
    stacked(
        (13, "Blocked, by reason"),
        "Why a run waited: what a guard said, once for each new reason.",
        query(
            "sum by (reason) (increase(remediator_blocked_total[$__rate_interval])) > 0",
            "{{reason}}",
        ),
    ).no_value("nothing was blocked"),
    rows(
        (14, "Time to detect, act and mend"),
        "Of the range: half and 95 % of the incidents took no longer. From the start of the alert"
        " until it was told; from then to the first step; from the start to the verified end.",
        *(
            row(quantile(share, what))
            for what in ("detect", "act", "mend")
            for share in (0.5, 0.95)
        ),
        columns={
            "Value #A": "Detected p50",
            "Value #B": "p95",
            "Value #C": "Acted p50",
            "Value #D": "p95 ",
            "Value #E": "Mended p50",
            "Value #F": "p95  ",
        },
        units=dict.fromkeys(
            ("Detected p50", "p95", "Acted p50", "p95 ", "Mended p50", "p95  "), "s"
        ),
    )
    .span(16)
    .height(5),
    number(
        (15, "Alerts fire for"),
        "Mean time within the range that an alert fires which has a runbook entry, and one that a"
        " human must see to.",
        now(firing_time('remediation!="manual",severity!="none"'), "mended"),
        now(firing_time('remediation="manual",severity!="none"'), "manual"),
        unit="s",
    )
    .span(8)
    .height(5)
    .no_value("none"),
    stacked(
        (16, "Alerts told, by what became of them"),
        "What webhooks brought.",
        query(
            "sum by (result) (increase(remediator_alerts_received_total[$__rate_interval])) > 0",
            "{{result}}",
        ),
    ),
    stacked(
        (17, "Humans called, by reason"),
        "Incidents whose ladder ended, or that nobody may mend.",
        query(
            "sum by (reason) (increase(remediator_escalations_total[$__rate_interval])) > 0"
            " or label_replace(sum(increase(remediator_escalations_total[$__rate_interval])),"
            ' "reason", "nobody", "", "")',
            "{{reason}}",
        ),
    ),
)

WHICH_ONE = (
    rows(
        (19, "Entries"),
        "Of the range, by runbook entry.",
        *(
            row(f"round(sum by (runbook) (increase({metric}[$__range])))")
            for metric in (
                f"remediator_incidents_opened_total{{{RUNBOOK}}}",
                f'remediator_runs_total{{{RUNBOOK},state="executing"}}',
                f'remediator_runs_total{{{RUNBOOK},state="effective"}}',
                f'remediator_runs_total{{{RUNBOOK},state=~"ineffective|inconclusive|failed"}}',
                f'remediator_runs_total{{{RUNBOOK},state="recurred"}}',
                f'remediator_runs_total{{{RUNBOOK},state="blocked"}}',
            )
        ),
        columns={
            "runbook": "Entry",
            "Value #A": "Incidents",
            "Value #B": "Runs",
            "Value #C": "Mended",
            "Value #D": "Not mended",
            "Value #E": "Came back",
            "Value #F": "Blocked",
        },
        sort=("Incidents", True),
    ),
)

BOARD = Board(
    uid="stackmedic-remediation",
    title="Remediation",
    text="What the remediator did, whether it helped, and where a human must take over.",
    variables={"runbook": ("Entry", "label_values(remediator_incidents_opened_total, runbook)")},
    span="now-24h",
    rows={
        "Is it well?": IS_IT_WELL,
        "What is wrong, and what was done": WHAT_IS_WRONG,
        "How it got there": HOW_MUCH,
        "Which one exactly": WHICH_ONE,
    },
)
