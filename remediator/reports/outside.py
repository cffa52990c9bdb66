"""What a report asks besides Prometheus: texts of errors and queries, a count by SQL.

Rule: reads only; SQL runs in a session that is read-only and ends each statement soon. A text
that cannot be had leaves a row without it.
"""

import html
import re
from collections.abc import Mapping

import httpx
import psycopg

from remediator.actions.database.session import connected
from remediator.ports import RemediationError, Transient
from remediator.reports.rows import Row, Section, Verdict, unknown
from remediator.topology import PostgresAddress

_TIMEOUT_SECONDS = 10.0
_ARTICLE = re.compile(r"<small>([0-9a-z]+), last [^<]*</small></p><p>([^<]*)</p>")
_CHARS = 160


def error_texts(exporter_url: str) -> Mapping[str, str]:
    """By fingerprint, from the exporter's own page."""
    try:
        answer = httpx.get(
            f"{exporter_url.rstrip('/')}/", timeout=_TIMEOUT_SECONDS, trust_env=False
        )
        return error_texts_of(answer.raise_for_status().text)
    except (httpx.HTTPError, httpx.InvalidURL):
        return {}


def error_texts_of(page: str) -> dict[str, str]:
    return {name: html.unescape(text)[:_CHARS] for name, text in _ARTICLE.findall(page)}


def query_texts(address: PostgresAddress) -> Mapping[str, str]:
    """By query id; empty where pg_stat_statements cannot be read."""
    sql = (
        "SELECT queryid::text, left(regexp_replace(query, '\\s+', ' ', 'g'), %s)"
        " FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 1000"
    )
    try:
        with connected(address) as connection:
            connection.execute("SET default_transaction_read_only = on")
            return {str(row[0]): str(row[1]) for row in connection.execute(sql, (_CHARS,))}
    except (psycopg.Error, RemediationError):
        return {}


def counted_by_sql(address: PostgresAddress, sql: str) -> Section:
    """The first value of the first row."""
    title = "Active users"
    try:
        with connected(address) as connection:
            connection.execute("SET default_transaction_read_only = on")
            row = connection.execute(sql.encode()).fetchone()
    except (psycopg.Error, RemediationError) as error:
        return Section(title, (unknown("all", f"the query failed: {error}"),))
    if not row:
        return Section(title, (unknown("all", "the query gave no row"),))
    return Section(title, (Row("all", str(row[0]), Verdict.INFO),))


def listed_incidents(url: str, token: str) -> list[Mapping[str, object]]:
    """The newest, as the API lists them. Errors: Transient."""
    try:
        answer = httpx.get(
            f"{url.rstrip('/')}/api/v1/incidents",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )
        found: list[Mapping[str, object]] = answer.raise_for_status().json()["incidents"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        raise Transient(f"cannot ask the remediator at {url}: {error!r}") from error
    return found
