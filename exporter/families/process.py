"""process_*: this process, in the names of every Prometheus client library."""

from exporter.families.metric import Family, counter, gauge
from exporter.readings import Process, Unreachable

CPU = counter("process_cpu_seconds_total", "User and system CPU time in seconds.")
RESIDENT = gauge("process_resident_memory_bytes", "Resident memory in bytes.")
VIRTUAL = gauge("process_virtual_memory_bytes", "Virtual memory in bytes.")
START = gauge("process_start_time_seconds", "Start of the process, Unix time.")
OPEN_FDS = gauge("process_open_fds", "Open file descriptors.")
MAX_FDS = gauge("process_max_fds", "Most file descriptors allowed.")


def families(_: object, reading: Process | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    return [
        CPU.family([((), reading.cpu_seconds)]),
        RESIDENT.family([((), reading.resident_bytes)]),
        VIRTUAL.family([((), reading.virtual_bytes)]),
        START.family([((), reading.start_time)]),
        OPEN_FDS.family([((), reading.open_fds)]),
        MAX_FDS.family([((), reading.max_fds)]),
    ]
