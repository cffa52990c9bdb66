"""Reads the password of a system under care from its file, afresh each time.

Rule: the password goes to the client only, never into a message or an evidence.
"""

from pathlib import Path

from remediator.ports import Permanent


def read_password(file: str | None, where: str) -> str | None:
    """The content of `file` without the white space around it; None without a file.

    Errors: Permanent, when the file cannot be read.
    """
    if file is None:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(
            f"cannot read the password of {where}: {error}; see that the secret is mounted"
        ) from error
