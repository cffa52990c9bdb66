"""What every action on nginx needs: its two commands, and files that it reads.

Rule: a file is replaced whole and at once, in its folder; whoever reads sees the old one or
the new one, also after a power cut.
"""

import os
import tempfile
from pathlib import Path

from remediator.actions import engine
from remediator.actions.clients import Clients, Deadline
from remediator.ports import Permanent

EXEC_SECONDS = 5.0
READ_BY_ALL = 0o644


def nginx_says(clients: Clients, container: str, deadline: Deadline, *arguments: str) -> None:
    """Run nginx with `-t`, or with `-s reload`, in its container.

    Errors: Permanent with its words when it does not end with 0; Transient.
    """
    seconds = deadline.at_most(EXEC_SECONDS)
    with engine.connect(clients.docker_url, timeout_seconds=seconds) as docker:
        result = docker.execute(container, ["nginx", *arguments])
    if result.exit_code != 0:
        words = "; ".join(result.output.splitlines())
        raise Permanent(
            f"nginx {' '.join(arguments)} in {container} "
            f"ended with {result.exit_code}: {words[-1000:]}"
        )


def replace_file(
    path: Path, content: bytes, *, modified_ns: int | None = None, mode: int = READ_BY_ALL
) -> None:
    """Write a file in place of what is there. Errors: Permanent."""
    try:
        _replace(path, content, modified_ns, mode)
    except OSError as error:
        raise Permanent(
            f"cannot write {path}: {error}; see that the folder is mounted for writing"
        ) from error


def remove_file(path: Path) -> None:
    """Errors: Permanent. A file that is gone already is fine."""
    try:
        path.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise Permanent(
            f"cannot remove {path}: {error}; see that the folder is mounted for writing"
        ) from error


def _replace(path: Path, content: bytes, modified_ns: int | None, mode: int) -> None:
    # Not *.conf: an include by wildcard must not pick the unfinished file up.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            if modified_ns is not None:
                os.utime(file.fileno(), ns=(modified_ns, modified_ns))
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
