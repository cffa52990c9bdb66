"""x509_* of certificate files, in the names of the x509-certificate-exporter.

Rule: a certificate that has expired is told like any other; a file that cannot be read is an
error, never an absence.
"""

from collections.abc import Iterator, Sequence

from exporter.families.metric import Family, gauge
from exporter.readings import Certificate, CertificateFiles, Unreachable
from exporter.targets import CertificateFile

LABELS = ("filepath", "service", "subject_CN", "issuer_CN", "serial_number")
NOT_BEFORE = gauge("x509_cert_not_before", "When the certificate begins to hold.", LABELS)
NOT_AFTER = gauge("x509_cert_not_after", "When the certificate expires.", LABELS)
EXPIRED = gauge("x509_cert_expired", "1 if the certificate has expired.", LABELS)
ERROR = gauge("x509_cert_error", "1 if the file could not be read.", ("filepath", "service"))
ERRORS = gauge("x509_read_errors", "Files that could not be read.")


def families(
    files: Sequence[CertificateFile], reading: CertificateFiles | Unreachable
) -> list[Family]:
    if isinstance(reading, Unreachable):
        return []
    told = [
        ((file.file, file.service, seen.subject_cn, seen.issuer_cn, str(seen.serial_number)), seen)
        for file, seen in _found(files, reading)
    ]
    return [
        NOT_BEFORE.family((labels, seen.not_before) for labels, seen in told),
        NOT_AFTER.family((labels, seen.not_after) for labels, seen in told),
        EXPIRED.family((labels, seen.not_after <= reading.read_at) for labels, seen in told),
        ERROR.family(((f.file, f.service), f.file in reading.errors) for f in files),
        ERRORS.family([((), len(reading.errors))]),
    ]


def _found(
    files: Sequence[CertificateFile], reading: CertificateFiles
) -> Iterator[tuple[CertificateFile, Certificate]]:
    for file in files:
        for seen in reading.found.get(file.file, ()):
            yield file, seen
