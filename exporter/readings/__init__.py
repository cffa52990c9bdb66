"""What was seen at a target, or why nothing was.

Rule: pure values, no I/O and no clock. A collector that cannot tell returns Unreachable with
a reason from the closed list; it never returns a zero that looks like a measurement.
One file a kind; everything is imported from here.
"""

from exporter.readings.celery import Celery, CeleryQueue, WorkerHeart
from exporter.readings.cgroups import Usage, Usages
from exporter.readings.colours import LiveColour
from exporter.readings.containers import Container, Containers, ContainerState, Health
from exporter.readings.logs import ContainerLog, Logs
from exporter.readings.network import Interface, Networks
from exporter.readings.postgres import Postgres, StatementCounts
from exporter.readings.probes import HealthDocument, HealthWord, Probe, ProbeFailure
from exporter.readings.process import Process
from exporter.readings.redis import (
    KeyGroup,
    KeyGroupScan,
    LatencyHistogram,
    LatencySpike,
    Redis,
)
from exporter.readings.unreachable import Cause, Unreachable

__all__ = [
    "Cause",
    "Celery",
    "CeleryQueue",
    "Container",
    "ContainerLog",
    "ContainerState",
    "Containers",
    "Health",
    "HealthDocument",
    "HealthWord",
    "Interface",
    "KeyGroup",
    "KeyGroupScan",
    "LatencyHistogram",
    "LatencySpike",
    "LiveColour",
    "Logs",
    "Networks",
    "Postgres",
    "Probe",
    "ProbeFailure",
    "Process",
    "Redis",
    "StatementCounts",
    "Unreachable",
    "Usage",
    "Usages",
    "WorkerHeart",
]
