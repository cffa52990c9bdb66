"""Certificate files, as PEM chains or DER.

Rule: one file that cannot be read hides no other. A file is read up to a size that no
certificate reaches, so that a wrong path costs nothing.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from exporter.collectors.port import Clock
from exporter.readings import Certificate, CertificateFiles
from exporter.targets import CertificateFile
from exporter.x509 import Malformed, certificates

MAX_BYTES = 1 << 20
MAX_CHAIN = 20


class CertificateCollector:
    def __init__(self, files: Sequence[CertificateFile], wall: Clock) -> None:
        self._files = files
        self._wall = wall

    def collect(self, deadline: float) -> CertificateFiles:  # noqa: ARG002  files of a local disk
        found: dict[str, tuple[Certificate, ...]] = {}
        errors: dict[str, str] = {}
        for target in self._files:
            try:
                found[target.file] = _read(Path(target.file))
            except OSError as error:
                errors[target.file] = error.strerror or str(error)
            except Malformed as error:
                errors[target.file] = str(error)
        problems = tuple(f"{file}: {why}" for file, why in errors.items())
        return CertificateFiles(self._wall(), found, errors, problems)

    def cancel(self) -> None:
        """A read of a small local file is not worth interrupting."""

    def close(self) -> None:
        """Nothing is kept between readings."""


def _read(path: Path) -> tuple[Certificate, ...]:
    # Without O_NONBLOCK a path that is a named pipe would hold the collector for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Malformed("not a file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise Malformed(f"more than {MAX_BYTES} bytes")
    return tuple(dict.fromkeys(certificates(content)))[:MAX_CHAIN]
