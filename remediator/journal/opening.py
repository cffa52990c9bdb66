"""Opens the journal that is configured.

Rule: the client of a server is imported only where there is one.
"""

import socket
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from remediator.config_journal import JournalSection
from remediator.journal.database import Database
from remediator.journal.sqlite import SqliteDatabase


def open_journal(
    state_file: Path | None, section: JournalSection | None
) -> tuple[Database, Callable[[], datetime] | None]:
    """With the clock of its server, if it has one. Errors: JournalLocked, JournalUnavailable."""
    if section is None:
        if state_file is None:
            raise AssertionError("a configuration names one of them")
        return SqliteDatabase(state_file), None
    from remediator.journal.postgres import PostgresDatabase  # noqa: PLC0415
    from remediator.journal.session import Address  # noqa: PLC0415 - see the rule of this module

    password_file = Path(section.password_file) if section.password_file is not None else None
    database = PostgresDatabase(Address(section.url, name_in(section), password_file))
    return database, database.time


def name_in(section: JournalSection | None) -> str:
    """What this remediator is known by in a shared journal."""
    if section is None:
        return ""
    return section.name or socket.gethostname()
