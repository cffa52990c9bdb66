"""Empties the cache database of a redis, all of it or by pattern."""

from typing import Annotated

from pydantic import Field

from remediator.actions.clients import Params


class FlushKeysParams(Params):
    """`pattern` as in SCAN MATCH; at most `max_keys` keys go in one step, `batch` at a time."""

    pattern: str
    batch: Annotated[int, Field(ge=1, le=10_000)] = 500
    max_keys: Annotated[int, Field(ge=1)] = 1_000_000


class FlushDbParams(Params):
    """FLUSHDB needs nothing: the database is the topology's `cache_db`."""
