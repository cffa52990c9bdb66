"""node_filesystem_* of the listed paths, in node_exporter's names.

Rule: an error is a series of its own, with its reason; as a label of the others it would
rename them all.
"""

from exporter.families.metric import Family, gauge
from exporter.readings import Disks, Unreachable

LABELS = ("device", "mountpoint", "fstype")
SIZE = gauge("node_filesystem_size_bytes", "Size of the file system.", LABELS)
FREE = gauge("node_filesystem_free_bytes", "Free space, root's reserve included.", LABELS)
AVAILABLE = gauge("node_filesystem_avail_bytes", "Space that users may still fill.", LABELS)
FILES = gauge("node_filesystem_files", "Inodes of the file system.", LABELS)
FILES_FREE = gauge("node_filesystem_files_free", "Free inodes.", LABELS)
READONLY = gauge("node_filesystem_readonly", "1 if it is mounted read-only.", LABELS)
DEVICE_ERROR = gauge("node_filesystem_device_error", "1 if it could not be asked.", LABELS)
ERROR_INFO = gauge(
    "node_filesystem_error_info", "1, with why it could not be asked.", (*LABELS, "error")
)


def families(_: object, reading: Disks | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    every = [((fs.device, fs.mountpoint, fs.fstype), fs) for fs in reading.filesystems]
    good = [(labels, fs) for labels, fs in every if fs.fault is None]
    return [
        SIZE.family((labels, fs.size_bytes) for labels, fs in good),
        FREE.family((labels, fs.free_bytes) for labels, fs in good),
        AVAILABLE.family((labels, fs.available_bytes) for labels, fs in good),
        FILES.family((labels, fs.files) for labels, fs in good),
        FILES_FREE.family((labels, fs.files_free) for labels, fs in good),
        READONLY.family((labels, fs.readonly) for labels, fs in good),
        DEVICE_ERROR.family((labels, fs.fault is not None) for labels, fs in every),
        ERROR_INFO.family(((*labels, fs.fault), 1) for labels, fs in every if fs.fault),
    ]
