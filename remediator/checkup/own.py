"""What each program says of its own file, and whether its secrets are kept.

Rule: the exporter is asked as a program of its own; nothing of it is imported.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from remediator.actions import ACTIONS
from remediator.checkup.documents import Finding, Marked
from remediator.checkup.sources import Sources
from remediator.config import load_config
from remediator.config_mistakes import ConfigError

MOUNTED = Path("/run/secrets")
"""Where compose mounts secrets: of one container alone, whatever their mode."""
_TIMEOUT_SECONDS = 60.0


def remediator(sources: Sources) -> Iterator[Finding]:
    profile = sources.profile
    try:
        load_config(
            Path(sources.config.file), ACTIONS, Path(profile.file) if profile is not None else None
        )
    except ConfigError as error:
        for mistake in error.mistakes:
            top = mistake.path.partition(".")[0].partition("[")[0]
            overlaid = profile is not None and top in profile.keys
            place = profile if profile is not None and overlaid else sources.config
            yield Finding(place.file, place.line_of(mistake.path), str(mistake))


def exporter(sources: Sources) -> Iterator[Finding]:
    document = sources.exporter
    if document is None:
        return
    command = [sys.executable, "-m", "exporter.main", f"--config.file={document.file}"]
    try:
        done = subprocess.run(
            [*command, "--config.check"],
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield document.finding(f"the exporter could not be asked about its file: {error}")
        return
    if done.returncode == 0:
        return
    prefix = f"{Path(document.file).name}: "
    for line in done.stderr.splitlines():
        sentence = line.removeprefix(prefix)
        path = sentence.partition(": ")[0]
        yield Finding(document.file, document.line_of(path), sentence)


def secrets_kept(sources: Sources, folder: Path | None) -> Iterator[Finding]:
    """Each file can be read, holds something, and no stranger of this machine can read it.

    `folder`: where the files of /run/secrets lie on this machine.
    """
    for named, what in (
        (sources.of("webhook", "token_file"), "the token"),
        (sources.of("journal", "password_file"), "the journal's password"),
        (sources.of("github", "token_file"), "the token of GitHub"),
        (sources.of("console", "key_file"), "the key of the console"),
    ):
        if named.text:
            yield from _kept(named, here(named.text, folder), what)


def here(text: str, folder: Path | None) -> Path:
    """Where a secret's file lies on this machine."""
    path = Path(text)
    if folder is not None and path.is_relative_to(MOUNTED):
        return folder / path.relative_to(MOUNTED)
    return path


def _kept(named: Marked, path: Path, what: str) -> Iterator[Finding]:
    try:
        if not path.read_bytes().strip():
            yield named.finding(f"{path} is empty; it must hold {what}")
        exposed = not path.is_relative_to(MOUNTED) and _anybody_may_read(path)
    except OSError as error:
        yield named.finding(f"{what} cannot be read: {error}")
        return
    if exposed:
        yield named.finding(f"every user of this machine can read {path}: chmod o-r it")


def _anybody_may_read(path: Path) -> bool:
    """A file that all may read in a folder that only one may enter is kept."""
    path = Path(os.path.realpath(path))
    if not path.stat().st_mode & stat.S_IROTH:
        return False
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
