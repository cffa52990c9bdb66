"""The pure parts of the Postgres and Redis collectors."""

import psycopg
import pytest
from psycopg import errors

from exporter.collectors.postgres.session import unreachable
from exporter.collectors.redis import info_of
from exporter.readings import Cause


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (errors.QueryCanceled("canceling statement due to statement timeout"), Cause.TIMEOUT),
        (errors.ConnectionTimeout("connection timeout expired"), Cause.TIMEOUT),
        (errors.InvalidPassword("no"), Cause.AUTH),
        (errors.TooManyConnections("sorry, too many clients already"), Cause.REFUSED),
        (psycopg.OperationalError("FATAL:  the database system is starting up"), Cause.REFUSED),
        (psycopg.OperationalError("failed to resolve host 'db'"), Cause.DNS),
        (psycopg.OperationalError("connection refused"), Cause.CONNECT),
    ],
)
def test_why_postgres_cannot_be_read(error: psycopg.Error, cause: Cause) -> None:
    assert unreachable("db:5432/app", error).cause is cause


def test_info_is_split_and_odd_lines_are_left_out() -> None:
    text = b"# Server\r\nredis_version:7.0.15\r\nodd\r\ndb0:keys=1,expires=0\r\n\xff:\xff\r\n\r\n"

    assert info_of(text) == {
        "redis_version": "7.0.15",
        "db0": "keys=1,expires=0",
        "\ufffd": "\ufffd",
    }
