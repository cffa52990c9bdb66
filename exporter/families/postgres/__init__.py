"""pg_*: postgres_exporter's names, types and units, with the service as label.

Rule: pg_up is about this scrape; everything else is absent when it could not be read.
"""

from exporter.families.metric import Families, Family, Row
from exporter.families.postgres import databases, server, sessions, settings, statements
from exporter.readings import Postgres, Unreachable
from exporter.targets import Database


def families(database: Database, reading: Postgres | Unreachable) -> Families:
    service = database.service
    if isinstance(reading, Unreachable):
        return server.without(service, reading)
    found: list[Family | Row] = [
        *server.families(service, reading),
        *databases.families(service, reading),
        *sessions.families(service, reading),
        *settings.families(service, reading.settings),
    ]
    if reading.statements is not None:
        found += statements.families(service, reading.statements)
    return found
