"""The rota as it stands in oncall.yml now: read again when the file has changed.

Rule: whoever asks is never refused: a file that cannot be used is no rota, and the log says
why, once.
"""

import logging
from pathlib import Path
from threading import Lock

from remediator.config_mistakes import ConfigError
from remediator.config_oncall import load_oncall
from remediator.oncall import Rota

log = logging.getLogger(__name__)


class RotaFile:
    """`path`: None where no file is configured; then there is no rota, and no word of it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = Lock()  # scrapes may overlap
        self._seen: tuple[int, int, int] | None = (-1, -1, -1)
        self._rota: Rota | None = None

    def rota(self) -> Rota | None:
        if self._path is None:
            return None
        with self._lock:
            seen = _state(self._path)
            if seen != self._seen:
                self._seen, self._rota = seen, _read(self._path)
            return self._rota


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _read(path: Path) -> Rota | None:
    try:
        return load_oncall(path).rota
    except ConfigError as error:
        log.warning("nobody can tell who is on call: %s", error)
        return None
