"""backup_*: how old, how big and how good the last backup is.

Rule: timestamps, not ages. A backup that is expected and never was is 0, so that one rule,
`time() - backup_last_success_timestamp_seconds > backup_max_age_seconds`, covers every case.
"""

from exporter.families.metric import Family, gauge
from exporter.readings import Backups, Unreachable
from exporter.targets import BackupFolder

LABELS = ("backup", "service")
SUCCESS = gauge(
    "backup_last_success_timestamp_seconds",
    "When the newest good backup was written, 0 for never.",
    LABELS,
)
SIZE = gauge("backup_last_size_bytes", "Size of the newest backup, good or not.", LABELS)
FILES = gauge("backup_files", "Backups in the folder.", LABELS)
VALID = gauge(
    "backup_valid",
    "1 if the newest backup is big enough, of its format and readable.",
    LABELS,
)
INVALID = gauge(
    "backup_invalid_info", "1, with why the newest backup is not good.", (*LABELS, "reason")
)
MAX_AGE = gauge(
    "backup_max_age_seconds", "How old the newest good backup may be, as configured.", LABELS
)
VERIFICATION = gauge(
    "backup_last_verification_timestamp_seconds",
    "When a backup was last restored to try it, 0 for never.",
    LABELS,
)
VERIFICATION_MAX_AGE = gauge(
    "backup_verification_max_age_seconds",
    "How long ago the last verification may be, as configured.",
    LABELS,
)
CHECKED = gauge(
    "backup_checked_timestamp_seconds",
    "When the folder was looked at. The result is kept for check_every, failures are not.",
    LABELS,
)


def families(folder: BackupFolder, reading: Backups | Unreachable) -> list[Family]:
    labels = (folder.name, folder.service)
    configured = [MAX_AGE.family([(labels, folder.max_age)])]
    if folder.verification is not None:
        configured.append(VERIFICATION_MAX_AGE.family([(labels, folder.verification_max_age)]))
    if isinstance(reading, Unreachable):
        return configured
    seen = reading.backup
    found = [
        *configured,
        SUCCESS.family([(labels, seen.last_success)]),
        SIZE.family([(labels, seen.size_bytes)]),
        FILES.family([(labels, seen.files)]),
        VALID.family([(labels, seen.fault is None)]),
        CHECKED.family([(labels, reading.checked_at)]),
    ]
    if seen.fault is not None:
        found.append(INVALID.family([((*labels, seen.fault), 1)]))
    if folder.verification is not None:
        found.append(VERIFICATION.family([(labels, seen.last_verification)]))
    return found
