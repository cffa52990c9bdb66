"""probe_* in the blackbox exporter's names, and the health document by component.

Rule: a target that could not be probed in time has failed its probe, so it is 0 with a
reason, never absent: rules must be able to see it.
"""

from collections.abc import Iterator

from exporter.families.metric import Family, Kind, Metric, Sample, counter, gauge, one_of
from exporter.readings import HealthDocument, HealthWord, Probe, ProbeFailure, Tls, Unreachable
from exporter.readings.probes import BUCKETS
from exporter.targets import ProbeTarget

LABELS = ("target", "service", "colour")
COMPONENT_LABELS = ("target", "service", "component")
SUCCESS = gauge("probe_success", "1 if the probe succeeded.", LABELS)
DURATION = gauge("probe_duration_seconds", "How long the whole probe took.", LABELS)
TIMEOUT = gauge("probe_timeout_seconds", "How long the probe might have taken.", LABELS)
FAILURE = gauge("probe_failure_reason", "1 for the reason of a failed probe.", (*LABELS, "reason"))
ATTEMPTS = counter("probe_attempts_total", "Probes since the exporter started.", LABELS)
FAILURES = counter("probe_failures_total", "Failed probes by reason.", (*LABELS, "reason"))
DURATIONS = Metric(
    "probe_attempt_duration_seconds",
    Kind.HISTOGRAM,
    "How long the probes since the exporter started took.",
    (*LABELS, "le"),
)
PROBED_AT = gauge(
    "probe_last_attempt_timestamp_seconds",
    "When the probe shown was begun, Unix time, for one with an interval of its own.",
    LABELS,
)
LOOKUP = gauge("probe_dns_lookup_time_seconds", "Time the name's look-up took.", LABELS)
IP_PROTOCOL = gauge("probe_ip_protocol", "4 or 6: the version of IP that was used.", LABELS)
IP_HASH = gauge("probe_ip_addr_hash", "FNV-1a of the address: changes when it does.", LABELS)

STATUS_CODE = gauge("probe_http_status_code", "Status of the answer, 0 without one.", LABELS)
CONTENT_LENGTH = gauge(
    "probe_http_content_length", "Length by the answer's header, -1 without one.", LABELS
)
LENGTH = gauge("probe_http_uncompressed_body_length", "Bytes of the body.", LABELS)
VERSION = gauge("probe_http_version", "HTTP version of the answer.", LABELS)
REDIRECTS = gauge("probe_http_redirects", "Redirects that were followed.", LABELS)
SSL = gauge("probe_http_ssl", "1 if the last request went over TLS.", LABELS)
MODIFIED = gauge(
    "probe_http_last_modified_timestamp_seconds", "Last-Modified of the answer.", LABELS
)
PHASES = gauge("probe_http_duration_seconds", "Time by phase of the request.", (*LABELS, "phase"))
REGEX = gauge(
    "probe_failed_due_to_regex", "1 if the body or a header is not as configured.", LABELS
)

EARLIEST_EXPIRY = gauge(
    "probe_ssl_earliest_cert_expiry",
    "When the first certificate of the server expires, also if it is not to be trusted."
    " The chain is seen from Python 3.13 on, before it the leaf alone.",
    LABELS,
)
CHAIN_EXPIRY = gauge(
    "probe_ssl_last_chain_expiry_timestamp_seconds",
    "As probe_ssl_earliest_cert_expiry, for a verified chain only.",
    LABELS,
)
LEAF_EXPIRY = gauge(
    "probe_ssl_leaf_not_after_timestamp_seconds",
    "When the server's own certificate expires, also if it is not to be trusted.",
    LABELS,
)
VERIFIED = gauge("probe_ssl_verified", "1 if the server's certificate is to be trusted.", LABELS)
VERIFY_ERROR = gauge(
    "probe_ssl_verify_error_info", "1, with why the certificate is not trusted.", (*LABELS, "code")
)
CHAIN_INFO = gauge(
    "probe_ssl_last_chain_info",
    "1, with what the server's own certificate says.",
    (*LABELS, "fingerprint_sha256", "subject", "issuer", "subjectalternative", "serialnumber"),
)
TLS_VERSION = gauge("probe_tls_version_info", "1, with the version of TLS.", (*LABELS, "version"))
TLS_CIPHER = gauge("probe_tls_cipher_info", "1, with the cipher suite.", (*LABELS, "cipher"))

HEALTH = gauge(
    "health_status",
    "1 for the overall word of the health document.",
    ("target", "service", "status"),
)
COMPONENT = gauge(
    "health_component_up", "1 if the health document calls the component good.", COMPONENT_LABELS
)
COMPONENT_LATENCY = gauge(
    "health_component_latency_seconds",
    "How long the component took to answer, by the health document.",
    COMPONENT_LABELS,
)
COMPONENT_INFO = gauge(
    "health_component_info",
    "1, with the version that the health document gives the component.",
    (*COMPONENT_LABELS, "version"),
)
JSON_VALUE = gauge(
    "probe_json_value", "The number at a configured path of the body.", (*LABELS, "path")
)

SINCE_START = (ATTEMPTS, FAILURES, DURATIONS)

Labels = tuple[str, str, str]


def families(target: ProbeTarget, reading: Probe | Unreachable) -> list[Family]:
    """The probe among all others, told apart by target, service and colour."""
    return _families((target.name, target.service, target.colour), reading)


def single(reading: Probe) -> list[Family]:
    """The same for one probe asked for by name: as blackbox, without target labels."""
    return [f for f in _families(("", "", ""), reading) if f.metric not in SINCE_START]


def _families(labels: Labels, reading: Probe | Unreachable) -> list[Family]:
    if isinstance(reading, Unreachable):
        return [
            SUCCESS.family([(labels, 0)]),
            FAILURE.family(one_of(labels, ProbeFailure, ProbeFailure.TIMEOUT)),
        ]
    return [
        SUCCESS.family([(labels, reading.failure is None)]),
        DURATION.family([(labels, reading.duration_seconds)]),
        TIMEOUT.family([(labels, reading.timeout_seconds)]),
        FAILURE.family(one_of(labels, ProbeFailure, reading.failure or "")),
        ATTEMPTS.family([(labels, reading.attempts)]),
        FAILURES.family(
            ((*labels, reason), reading.failures.get(reason, 0)) for reason in ProbeFailure
        ),
        *_durations(labels, reading),
        PROBED_AT.family(_given(labels, reading.probed_at)),
        LOOKUP.family(_given(labels, reading.phases.get("resolve"))),
        IP_PROTOCOL.family(_given(labels, _protocol(reading.ip))),
        IP_HASH.family(_given(labels, _fnv1a(reading.ip) if reading.ip else None)),
        STATUS_CODE.family([(labels, reading.status_code)]),
        PHASES.family(((*labels, phase), took) for phase, took in reading.phases.items()),
        REGEX.family(_given(labels, reading.failed_regex)),
        JSON_VALUE.family(((*labels, path), n) for path, n in reading.json_values.items()),
        *(_answer(labels, reading) if reading.status_code else ()),
        *(_tls(labels, reading.tls) if reading.tls else ()),
        *(_health(labels[:2], reading.health) if reading.health else ()),
    ]


def _durations(labels: Labels, reading: Probe) -> Iterator[Family]:
    found, total = reading.durations, reading.attempts
    below = zip((*map(str, BUCKETS), "+Inf"), (*found.below, total), strict=True)
    yield DURATIONS.family((((*labels, bound), n) for bound, n in below), "_bucket")
    yield DURATIONS.family([((*labels, ""), found.seconds)], "_sum")
    yield DURATIONS.family([((*labels, ""), total)], "_count")


def _answer(labels: Labels, reading: Probe) -> Iterator[Family]:
    yield CONTENT_LENGTH.family([(labels, reading.content_length)])
    yield LENGTH.family([(labels, reading.body_length)])
    yield VERSION.family([(labels, reading.http_version)])
    yield REDIRECTS.family([(labels, reading.redirects)])
    yield SSL.family([(labels, reading.over_tls)])
    yield MODIFIED.family(_given(labels, reading.last_modified))


def _tls(labels: Labels, tls: Tls) -> Iterator[Family]:
    yield VERIFIED.family([(labels, tls.verified)])
    yield TLS_VERSION.family([((*labels, tls.version), 1)])
    yield TLS_CIPHER.family([((*labels, tls.cipher), 1)])
    if tls.verify_error is not None:
        yield VERIFY_ERROR.family([((*labels, tls.verify_error), 1)])
    if not tls.chain:
        return
    leaf, earliest = tls.chain[0], min(seen.not_after for seen in tls.chain)
    yield EARLIEST_EXPIRY.family([(labels, earliest)])
    yield LEAF_EXPIRY.family([(labels, leaf.not_after)])
    if tls.verified:
        yield CHAIN_EXPIRY.family([(labels, earliest)])
    told = (leaf.subject_cn, leaf.issuer_cn, ",".join(leaf.names), f"{leaf.serial_number:x}")
    yield CHAIN_INFO.family([((*labels, tls.leaf_sha256, *told), 1)])


def _health(labels: tuple[str, ...], health: HealthDocument) -> Iterator[Family]:
    yield HEALTH.family(one_of(labels, HealthWord, health.status))
    yield COMPONENT.family(((*labels, name), up) for name, up in health.components.items())
    yield COMPONENT_LATENCY.family(((*labels, name), s) for name, s in health.latencies.items())
    yield COMPONENT_INFO.family(((*labels, name, v), 1) for name, v in health.versions.items())


def _given(labels: Labels, value: float | None) -> list[Sample]:
    return [] if value is None else [(labels, value)]


def _protocol(ip: str) -> int | None:
    return (6 if ":" in ip else 4) if ip else None


def _fnv1a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
