"""The machine below the services: what is left of it, and for how long.

CPU, memory and swap are those of the containers: they are what fills the machine. Load and what
runs outside of containers is node_exporter's to tell.
"""

from grafana import runbook
from grafana.board import Board
from grafana.parts import (
    GREEN,
    RED,
    YELLOW,
    bands,
    limited,
    lines,
    now,
    number,
    query,
    row,
    rows,
    steps,
)

CPU_USED = "sum(rate(container_cpu_usage_seconds_total[$__rate_interval])) / max(machine_cpu_cores)"
MEMORY_USED = "sum(container_memory_working_set_bytes) / max(machine_memory_bytes)"
INODES_USED = "1 - min by (mountpoint) (node_filesystem_files_free / (node_filesystem_files > 0))"
TREND = "min by (mountpoint) (predict_linear(node_filesystem_avail_bytes[6h], 86400))"
# Seconds until a disk is full by the trend of six hours; a year at most, where it does not fill.
FULL_IN = (
    "clamp_max(min(min by (mountpoint) (node_filesystem_avail_bytes)"
    " / clamp_min(-max by (mountpoint) (deriv(node_filesystem_avail_bytes[6h])), 1)), 31536000)"
)
DAYS_LEFT = "(min by (service, filepath, subject_CN) (x509_cert_not_after) - time()) / 86400"
DAYS = steps(
    (None, RED),
    (runbook.CERTIFICATE_DAYS.alert, YELLOW),
    (runbook.CERTIFICATE_DAYS.expected, GREEN),
)

IS_IT_WELL = (
    number(
        (1, "CPU of the machine"),
        "Used by all containers. Expected below 60 %, alert at 80 %.",
        now(
            "sum(rate(container_cpu_usage_seconds_total[$__rate_interval]))"
            " / max(machine_cpu_cores)"
        ),
        unit="percentunit",
        colours=bands(runbook.HOST_CPU),
    ),
    number(
        (2, "Memory of the machine"),
        "Working sets of all containers. Expected below 70 %, alert at 85 %.",
        now(MEMORY_USED),
        unit="percentunit",
        colours=bands(runbook.HOST_MEMORY),
    ),
    number(
        (3, "Fullest disk"),
        "Used of what users may fill. Expected below 80 %, alert at 90 %.",
        now("max(mountpoint:filesystem_used:ratio)"),
        unit="percentunit",
        colours=bands(runbook.DISK),
    ),
    number(
        (4, "First disk full in"),
        "If it goes on as in the last six hours.",
        now(FULL_IN),
        unit="s",
        colours=steps((None, RED), (86400, YELLOW), (7 * 86400, GREEN)),
    ).decimals(0),
    number(
        (6, "Inodes used"),
        "Of the file system with the fewest left. Alert at 90 %.",
        now(f"max({INODES_USED})"),
        unit="percentunit",
        colours=bands(runbook.INODES),
    ),
    number(
        (5, "First certificate ends in"),
        "It is renewed 30 days before its end.",
        now(f"min({DAYS_LEFT})"),
        unit="d",
        colours=DAYS,
    ).decimals(0),
)

WHAT_IS_WRONG = (
    limited(
        (9, "Disks used"),
        "Used of what users may fill. Expected below 80 %, alert at 90 %. When it is full, no"
        " service can write.",
        query("mountpoint:filesystem_used:ratio", "{{mountpoint}}"),
        limits=bands(runbook.DISK),
        explains=["DiskAlmostFull", "DiskAboveExpected", "BackupDiskAlmostFull"],
    ).max(1),
    lines(
        (10, "Disk free, now and in 24 h by its trend"),
        "Where the trend goes below zero, the disk is full within a day.",
        query("min by (mountpoint) (node_filesystem_avail_bytes)", "{{mountpoint}}"),
        query(f"clamp_min({TREND}, 0)", "{{mountpoint}} in 24 h"),
        unit="bytes",
        explains=["DiskWillFill"],
    ),
)

HOW_MUCH = (
    limited(
        (7, "CPU of the machine, over time"),
        "Used by all containers. Expected below 60 %, alert at 80 %.",
        query(CPU_USED, "all containers"),
        limits=bands(runbook.HOST_CPU),
        explains=["HostCpuHigh"],
    ).axis_soft_max(1),
    lines(
        (15, "CPU by service"),
        "Cores.",
        query(
            "sum by (service) (rate(container_cpu_usage_seconds_total"
            '{service=~"$service"}[$__rate_interval]))',
            "{{service}}",
        ),
        unit="short",
    ),
    limited(
        (8, "Memory of the machine, over time"),
        "Working sets of all containers. Expected below 70 %, alert at 85 %.",
        query(MEMORY_USED, "all containers"),
        limits=bands(runbook.HOST_MEMORY),
        explains=["HostMemoryHigh"],
    ).axis_soft_max(1),
    lines(
        (16, "Memory by service"),
        "Working set.",
        query(
            'sum by (service) (container_memory_working_set_bytes{service=~"$service"})',
            "{{service}}",
        ),
        unit="bytes",
    ),
    limited(
        (11, "Inodes used"),
        "A disk with space and without inodes takes no file. Alert at 90 %.",
        query(INODES_USED, "{{mountpoint}}"),
        limits=bands(runbook.INODES),
        explains=["InodesHigh"],
    ).max(1),
    lines(
        (14, "Swap"),
        "Of the containers. What is swapped out is slow when it is needed.",
        query('sum by (service) (container_memory_swap{service=~"$service"})', "{{service}}"),
        unit="bytes",
    ).axis_soft_max(2**20),
    lines(
        (12, "Disk reads and writes"),
        "Of all containers.",
        query("sum(rate(container_fs_reads_bytes_total[$__rate_interval]))", "read"),
        query("sum(rate(container_fs_writes_bytes_total[$__rate_interval]))", "written"),
        unit="Bps",
    ).no_value("this kernel does not count them"),
    lines(
        (17, "Network"),
        "Of all containers.",
        query("sum(rate(container_network_receive_bytes_total[$__rate_interval]))", "received"),
        query("sum(rate(container_network_transmit_bytes_total[$__rate_interval]))", "sent"),
        unit="Bps",
    ),
)

WHICH_ONE = (
    rows(
        (13, "Certificates"),
        "Days until each ends. Yellow below 21 days, red below 7.",
        row(DAYS_LEFT),
        row("max by (service, filepath, subject_CN) (x509_cert_not_after) * 1000"),
        columns={
            "service": "Service",
            "subject_CN": "Name",
            "filepath": "File",
            "Value #A": "Left",
            "Value #B": "Ends",
        },
        units={"Left": "d", "Ends": "dateTimeAsIso"},
        sort=("Left", False),
        explains=["CertificateExpiring", "CertificateCritical", "CertificateExpired"],
    ).height(6),
    rows(
        (18, "File systems"),
        "What the exporter watches.",
        row("max by (mountpoint, device, fstype) (node_filesystem_size_bytes)"),
        row("min by (mountpoint, device, fstype) (node_filesystem_avail_bytes)"),
        row(
            "max by (mountpoint, device, fstype)"
            " (1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)"
        ),
        columns={
            "mountpoint": "Path",
            "device": "Device",
            "fstype": "Kind",
            "Value #A": "Size",
            "Value #B": "Free",
            "Value #C": "Used",
        },
        units={"Size": "bytes", "Free": "bytes", "Used": "percentunit"},
        sort=("Path", False),
    ).height(6),
)

BOARD = Board(
    uid="stackmedic-host",
    title="Host and capacity",
    text="The machine below the services: what is left of it, and for how long.",
    span="now-24h",
    rows={
        "Is it well?": IS_IT_WELL,
        "What is wrong": WHAT_IS_WRONG,
        "How it got there": HOW_MUCH,
        "Which one exactly": WHICH_ONE,
    },
)
