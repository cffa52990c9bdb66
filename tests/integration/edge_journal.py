"""A journal on a real PostgreSQL, empty for each test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from remediator.journal.session import SCHEMA
from remediator.topology import Target
from tests.integration.edge_postgres import PASSWORD, address, connected, postgres_server


@contextmanager
def journal_server(secrets: Path) -> Iterator[Target]:
    with postgres_server(secrets) as server:
        yield server


def url_of(server: Target) -> str:
    place = address(server)
    return psycopg.conninfo.make_conninfo(
        host=place.host, port=place.port, dbname=place.database, user=place.user, password=PASSWORD
    )


def emptied(server: Target) -> str:
    """The URL of the server's journal, which holds nothing now."""
    with connected(server) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    return url_of(server)
