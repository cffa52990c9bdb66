"""What was seen at a target, or why nothing was.

Rule: pure values, no I/O and no clock. A collector that cannot tell returns Unreachable with
a reason from the closed list; it never returns a zero that looks like a measurement.
One file a kind; everything is imported from here.
"""

from exporter.readings.backups import Backup, BackupFault, Backups
from exporter.readings.celery import Celery, CeleryQueue, WorkerHeart
from exporter.readings.certificates import Certificate, CertificateFiles
from exporter.readings.cgroups import DeviceIO, Usage, Usages
from exporter.readings.colours import LiveColour
from exporter.readings.containers import (
    EXIT_CODES,
    OTHER_EXIT,
    Container,
    Containers,
    ContainerState,
    Health,
    Machine,
)
from exporter.readings.disks import Disks, Filesystem, FilesystemFault
from exporter.readings.logs import ContainerLog, Logs
from exporter.readings.network import Interface, Networks
from exporter.readings.nginx import Nginx
from exporter.readings.postgres import (
    Counts,
    Login,
    PartState,
    Postgres,
    Setting,
    StatementKey,
    Statements,
    Table,
)
from exporter.readings.probes import (
    HealthDocument,
    HealthWord,
    Probe,
    ProbeFailure,
    Tls,
    VerifyError,
)
from exporter.readings.process import Process
from exporter.readings.redis import (
    KeyGroup,
    KeyGroupScan,
    LatencyHistogram,
    LatencySpike,
    Redis,
)
from exporter.readings.textfiles import Textfile, Textfiles, TextSamples
from exporter.readings.unreachable import Cause, Unreachable

__all__ = [
    "EXIT_CODES",
    "OTHER_EXIT",
    "Backup",
    "BackupFault",
    "Backups",
    "Cause",
    "Celery",
    "CeleryQueue",
    "Certificate",
    "CertificateFiles",
    "Container",
    "ContainerLog",
    "ContainerState",
    "Containers",
    "Counts",
    "DeviceIO",
    "Disks",
    "Filesystem",
    "FilesystemFault",
    "Health",
    "HealthDocument",
    "HealthWord",
    "Interface",
    "KeyGroup",
    "KeyGroupScan",
    "LatencyHistogram",
    "LatencySpike",
    "LiveColour",
    "Login",
    "Logs",
    "Machine",
    "Networks",
    "Nginx",
    "PartState",
    "Postgres",
    "Probe",
    "ProbeFailure",
    "Process",
    "Redis",
    "Setting",
    "StatementKey",
    "Statements",
    "Table",
    "TextSamples",
    "Textfile",
    "Textfiles",
    "Tls",
    "Unreachable",
    "Usage",
    "Usages",
    "VerifyError",
    "WorkerHeart",
]
