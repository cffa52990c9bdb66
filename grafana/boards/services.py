"""One service, or all beside each other: state, health, what it uses, what it says."""

from grafana import runbook
from grafana.board import Board
from grafana.boards.overview import STATE, STATE_WORDS
from grafana.parts import (
    BLUE,
    GREEN,
    GREY,
    NONE_IS_GOOD,
    RED,
    SERVICE,
    YELLOW,
    bands,
    limited,
    lines,
    now,
    number,
    place_of,
    query,
    row,
    rows,
    stacked,
    steps,
    timeline,
)

HEALTHS = {"none": GREY, "starting": BLUE, "healthy": GREEN, "unhealthy": RED}
ERRORS = f'container_log_messages_total{{{SERVICE},level=~"error|critical"}}'

HELD_BACK = 0.25

IS_IT_WELL = (
    number(
        (1, "Not running"),
        "Services that should exist and have no running container.",
        now(f'count(compose_service_state{{{SERVICE},state="running"}} == 0) or vector(0)'),
        colours=NONE_IS_GOOD,
    ),
    number(
        (2, "Unhealthy"),
        "Services whose own health check fails.",
        now(
            f'count(max by (service) (compose_service_health{{{SERVICE},status="unhealthy"}}) == 1)'
            " or vector(0)"
        ),
        colours=NONE_IS_GOOD,
    ),
    number(
        (3, "Restarts, 1 h"),
        "Restarts by the engine, because a container had ended by itself.",
        now(f"sum(increase(container_restarts_total{{{SERVICE}}}[1h]))"),
        colours=NONE_IS_GOOD,
    ).decimals(0),
    number(
        (4, "Killed for memory, 24 h"),
        "Processes that the kernel killed because a container was at its limit.",
        now(f"sum(increase(container_oom_events_total{{{SERVICE}}}[24h]))"),
        colours=NONE_IS_GOOD,
    ).decimals(0),
    number(
        (19, "Maintenance page"),
        "Services whose maintenance page is on. It ends by itself, or MaintenanceOverdue tells.",
        now("count(remediator_maintenance_until_timestamp_seconds > 0) or vector(0)"),
        colours=steps((None, GREEN), (1, YELLOW)),
        explains=["MaintenanceOverdue"],
    ),
    number(
        (21, "Errors, 1 h"),
        "Error lines logged within an hour.",
        now(f"sum(increase({ERRORS}[1h]))"),
        colours=bands(runbook.ERRORS_24H),
    ).decimals(0),
)

WHAT_IS_WRONG = (
    timeline(
        (5, "State"),
        "The best state among the service's containers; missing when it has none.",
        query(STATE, "{{service}}"),
        texts=STATE_WORDS,
        explains=["ServiceDown", "ServiceHalted", "ServiceRestarting"],
    ),
    timeline(
        (6, "Health checks"),
        "What the engine's health check says; the worst among the service's containers.",
        query(place_of("compose_service_health", "status", list(HEALTHS)), "{{service}}"),
        texts={str(i): (status, colour) for i, (status, colour) in enumerate(HEALTHS.items())},
        explains=["ServiceUnhealthy"],
    ),
    timeline(
        (20, "Probes"),
        "What the exporter asked of the service at every scrape.",
        query(f"max by (target) (probe_success{{{SERVICE}}})", "{{target}}"),
        explains=["BackendNotReady"],
    )
    .span(24)
    .height(7),
)

HOW_MUCH = (
    limited(
        (7, "CPU of what it may have"),
        "Of its quota, or of the whole machine without one, as the alerts see it."
        " Expected below 60 %, alert at 80 %.",
        query(f"service:container_cpu_used:ratio{{{SERVICE}}}", "{{service}}"),
        limits=bands(runbook.CPU),
        explains=["HighCpu", "CpuAboveExpected", "DatabaseCpuHigh"],
    ).axis_soft_max(1),
    limited(
        (8, "Memory of its limit"),
        "Working set, without what the kernel gives back. Expected below 70 %, alert at 85 %.",
        query(f"service:container_memory_used:ratio{{{SERVICE}}}", "{{service}}"),
        limits=bands(runbook.MEMORY),
        explains=["HighMemory", "DatabaseMemoryHigh", "MemoryAboveExpected"],
    ).axis_soft_max(1),
    limited(
        (11, "Errors a minute"),
        "Error lines logged within a minute. Alert above 10.",
        query(f"sum by (service) (increase({ERRORS}[1m]))", "{{service}}"),
        limits=steps((None, GREEN), (runbook.ERRORS_1M, RED)),
        unit="short",
        explains=["ErrorBurst"],
    ),
    limited(
        (12, "Errors in 24 h"),
        "Error lines logged within a day. Expected below 10, alert above 50.",
        query(f"sum by (service) (increase({ERRORS}[24h]))", "{{service}}"),
        limits=bands(runbook.ERRORS_24H),
        unit="short",
        explains=["Errors24hHigh", "Errors24hAboveExpected"],
    ),
    stacked(
        (9, "Restarts and exits"),
        "Restarts by the engine, and ends of containers by exit code.",
        query(
            f"sum by (service) (increase(container_restarts_total{{{SERVICE}}}[$__rate_interval]))"
            " > 0",
            "{{service}} restarted",
        ),
        query(
            "sum by (service, exit_code)"
            f" (increase(container_exits_total{{{SERVICE}}}[$__rate_interval])) > 0",
            "{{service}} ended with {{exit_code}}",
        ),
        explains=["RestartLoop"],
    ).no_value("none"),
    stacked(
        (10, "Out of memory"),
        "The engine's out-of-memory events.",
        query(
            "sum by (service)"
            f" (increase(container_oom_events_total{{{SERVICE}}}[$__rate_interval]))",
            "{{service}}",
        ),
        explains=["ServiceOomKilled"],
    ),
    lines(
        (13, "Probes: duration"),
        "How long each probe took, from the look-up of the name to the last byte.",
        query(f"max by (target) (probe_duration_seconds{{{SERVICE}}})", "{{target}}"),
        unit="s",
        explains=["HealthEndpointSlow"],
    ),
    lines(
        (14, "Network"),
        "Bytes received and sent.",
        query(
            "sum by (service)"
            f" (rate(container_network_receive_bytes_total{{{SERVICE}}}[$__rate_interval]))",
            "{{service}} in",
        ),
        query(
            "sum by (service)"
            f" (rate(container_network_transmit_bytes_total{{{SERVICE}}}[$__rate_interval]))",
            "{{service}} out",
        ),
        unit="Bps",
    ),
    lines(
        (15, "Disk reads and writes"),
        "Bytes read from and written to disks.",
        query(
            "sum by (service)"
            f" (rate(container_fs_reads_bytes_total{{{SERVICE}}}[$__rate_interval]))",
            "{{service}} read",
        ),
        query(
            "sum by (service)"
            f" (rate(container_fs_writes_bytes_total{{{SERVICE}}}[$__rate_interval]))",
            "{{service}} written",
        ),
        unit="Bps",
    ).no_value("this kernel does not count them"),
    lines(
        (16, "CPU held back by its quota"),
        "Share of the quota's periods in which the container had to wait. Above 25 % it is slow"
        " because of its quota.",
        query(
            "sum by (service) (rate(container_cpu_cfs_throttled_periods_total"
            f"{{{SERVICE}}}[$__rate_interval]))"
            " / (sum by (service) (rate(container_cpu_cfs_periods_total"
            f"{{{SERVICE}}}[$__rate_interval])) > 0)",
            "{{service}}",
        ),
        unit="percentunit",
    ).axis_soft_max(HELD_BACK),
)

WHICH_ONE = (
    rows(
        (17, "Containers"),
        "Every container of the services, with its image and its last end.",
        row(f"max by (name, service, image) (container_last_seen{{{SERVICE}}}) * 1000"),
        row(f"max by (name) (container_start_time_seconds{{{SERVICE}}}) * 1000"),
        row(f"max by (name) (container_last_exit_code{{{SERVICE}}})"),
        row(f"round(sum by (name) (increase(container_restarts_total{{{SERVICE}}}[24h])))"),
        columns={
            "service": "Service",
            "name": "Container",
            "image": "Image",
            "Value #A": "Seen alive",
            "Value #B": "Started",
            "Value #C": "Last exit code",
            "Value #D": "Restarts, 24 h",
        },
        units={"Seen alive": "dateTimeFromNow", "Started": "dateTimeFromNow"},
        sort=("Service", False),
    ).height(13),
    rows(
        (18, "Recurring errors"),
        "Errors of a day by their form; the exporter's page shows the text of a fingerprint.",
        row(
            "round(topk(20, sum by (service, fingerprint)"
            f" (increase(container_log_fingerprint_total{{{SERVICE}}}[24h])) > 0))"
        ),
        columns={"service": "Service", "fingerprint": "Form", "Value": "Times"},
        sort=("Times", True),
    ),
)

BOARD = Board(
    uid="stackmedic-services",
    title="Services",
    text="One service, or all beside each other: state, health, what it uses, what it says.",
    rows={
        "Is it well?": IS_IT_WELL,
        "What is wrong": WHAT_IS_WRONG,
        "How it got there": HOW_MUCH,
        "Which one exactly": WHICH_ONE,
    },
)
