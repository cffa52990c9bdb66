"""Configuration files are read and checked by a process of their own, which ends.

Rule: the schema library and its compiled models are 17 MiB that are needed for a tenth of a
second; a program that runs for months does not keep them. What comes back are plain values.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exporter.settings import Invalid, Settings, WebSettings

_SECONDS = 60.0


def settings(path: Path) -> Settings:
    """Errors: Invalid with every mistake found."""
    found: Settings = _asked("settings", path)
    return found


def web_settings(path: Path) -> WebSettings:
    """Errors: as settings."""
    found: WebSettings = _asked("web", path)
    return found


def _asked(kind: str, path: Path) -> Any:  # noqa: ANN401  the two above say which
    # Its own words go to our stderr: a bug there must be seen.
    root = str(Path(__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        # -P: a folder named exporter in the working directory is not us.
        [sys.executable, "-P", "-m", "exporter.checked", kind, str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise Invalid([f"{path.name}: cannot be checked: its process ended with {done.returncode}"])
    found = pickle.loads(done.stdout)  # noqa: S301  from our own process
    if isinstance(found, Invalid):
        raise found
    return found


def _check(kind: str, path: Path) -> Settings | WebSettings | Invalid:
    # Imported here, for here they are needed.
    from exporter import config, config_web  # noqa: PLC0415

    try:
        return config.load(path).settings() if kind == "settings" else config_web.load(path)
    except Invalid as invalid:
        return invalid


def _main(arguments: Sequence[str]) -> int:
    kind, path = arguments
    sys.stdout.buffer.write(pickle.dumps(_check(kind, Path(path))))
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1:]))
