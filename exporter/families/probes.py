"""probe_* in the blackbox exporter's names, and the health document by component.

Rule: a target that could not be probed in time has failed its probe, so it is 0 with a
reason, never absent: rules must be able to see it.
"""

from exporter.families.metric import Family, gauge, one_of
from exporter.readings import HealthWord, Probe, ProbeFailure, Unreachable
from exporter.targets import ProbeTarget

LABELS = ("target", "service", "colour")
SUCCESS = gauge("probe_success", "1 if the probe succeeded.", LABELS)
DURATION = gauge("probe_duration_seconds", "How long the whole probe took.", LABELS)
STATUS_CODE = gauge("probe_http_status_code", "Status of the answer, 0 without one.", LABELS)
LENGTH = gauge("probe_http_uncompressed_body_length", "Bytes of the body.", LABELS)
VERSION = gauge("probe_http_version", "HTTP version of the answer.", LABELS)
PHASES = gauge("probe_http_duration_seconds", "Time by phase of the request.", (*LABELS, "phase"))
FAILURE = gauge("probe_failure_reason", "1 for the reason of a failed probe.", (*LABELS, "reason"))
HEALTH = gauge(
    "health_status",
    "1 for the overall word of the health document.",
    ("target", "service", "status"),
)
COMPONENT = gauge(
    "health_component_up",
    "1 if the health document calls the component good.",
    ("target", "service", "component"),
)


def families(target: ProbeTarget, reading: Probe | Unreachable) -> list[Family]:
    """The probe among all others, told apart by target, service and colour."""
    return _families((target.name, target.service, target.colour), reading)


def single(reading: Probe) -> list[Family]:
    """The same for one probe asked for by name: as blackbox, without target labels."""
    return _families(("", "", ""), reading)


def _families(labels: tuple[str, str, str], reading: Probe | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return [
            SUCCESS.family([(labels, 0)]),
            FAILURE.family(one_of(labels, ProbeFailure, ProbeFailure.TIMEOUT)),
        ]
    found = [
        SUCCESS.family([(labels, reading.failure is None)]),
        DURATION.family([(labels, reading.duration_seconds)]),
        STATUS_CODE.family([(labels, reading.status_code)]),
        FAILURE.family(one_of(labels, ProbeFailure, reading.failure or "")),
        PHASES.family(((*labels, phase), took) for phase, took in reading.phases.items()),
    ]
    if reading.status_code:
        found.append(LENGTH.family([(labels, reading.content_length)]))
        found.append(VERSION.family([(labels, reading.http_version)]))
    if reading.health is not None:
        target, service, _ = labels
        found.append(HEALTH.family(one_of((target, service), HealthWord, reading.health.status)))
        found.append(
            COMPONENT.family(
                ((target, service, name), up) for name, up in reading.health.components.items()
            )
        )
    return found
