"""Empties the cache database of a redis, all of it or by pattern.

Rule: only the topology's `cache_db`, and never a key of Celery: a lost
`_kombu.binding.*` makes the broker drop messages in silence.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

import redis
from pydantic import AfterValidator, Field
from redis.backoff import NoBackoff
from redis.retry import Retry

from remediator.actions.clients import Clients, Deadline, Params
from remediator.actions.passwords import read_password
from remediator.ports import (
    Done,
    Effect,
    Permanent,
    Ready,
    Refused,
    RemediationError,
    Transient,
)
from remediator.topology import RedisAddress, Target

_SOCKET_SECONDS = 5.0
_LOOK_SECONDS = 10.0
_SCAN_COUNT = 5000

_CELERY_PREFIXES = ("_kombu.", "unacked", "celery", "redbeat", "chord-unlock")
_CELERY_KEYS = ("unacked", "unacked_index", "unacked_mutex", "celery")
_CELERY_PATTERNS = ("_kombu.binding.*", "celery*", "unacked*", "*.pidbox")
_PIDBOX = re.compile(rb"(\.|^)pidbox$")
# The members of a `_kombu.binding.<exchange>` set: routing key, pattern, queue.
_BINDING_SEPARATOR = b"\x06\x16"


def _unsafe_pattern(pattern: str) -> str | None:
    """Why keys may not be flushed by this pattern; None when it is safe by its form.

    Safe is a pattern that begins with text of its own which no key of Celery begins with.
    """
    literal = re.split(r"[*?\[\\]", pattern, maxsplit=1)[0]
    if not literal:
        return f"pattern {pattern!r} must begin with plain text, like temp:*"
    for prefix in _CELERY_PREFIXES:
        if prefix.startswith(literal) or literal.startswith(prefix):
            return f"pattern {pattern!r} could match Celery's keys ({prefix}*)"
    if ".pidbox" in pattern:
        return f"pattern {pattern!r} could match Celery's keys (*.pidbox)"
    return None


def _safe_pattern(pattern: str) -> str:
    unsafe = _unsafe_pattern(pattern)
    if unsafe is not None:
        raise ValueError(unsafe)
    return pattern


class FlushKeysParams(Params):
    """`pattern` as in SCAN MATCH; at most `max_keys` keys go in one step, `batch` at a time."""

    pattern: Annotated[str, AfterValidator(_safe_pattern)]
    batch: Annotated[int, Field(ge=1, le=10_000)] = 500
    max_keys: Annotated[int, Field(ge=1)] = 1_000_000


class FlushDbParams(Params):
    """FLUSHDB needs nothing: the database is the topology's `cache_db`."""


@dataclass(frozen=True, slots=True)
class FlushKeys:
    """Unlink the keys that match a pattern, in batches."""

    params: FlushKeysParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        unsafe = _unsafe_pattern(self.params.pattern)
        if unsafe is not None:
            return Refused(unsafe)
        deadline = Deadline.after(self.clients.clock, _LOOK_SECONDS)
        with connected(target) as client:
            found = _any_match(client, self.params.pattern, deadline)
        if found is None:
            return Refused(
                f"{target.key}: no key that matches {self.params.pattern!r} was found in "
                f"{_LOOK_SECONDS:.0f} s of looking; flushing by it may be of no use"
            )
        if not found:
            return Refused(f"{target.key}: no key matches {self.params.pattern!r}")
        return Ready()

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        """Stops at `max_keys` and at the timeout; the evidence's `complete` says so."""
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        with connected(target) as client:
            before = _used_memory(client)
            deleted, complete = self._unlink_all(client, deadline)
            after = _used_memory(client)
        summary = f"deleted {deleted} keys that match {self.params.pattern!r}"
        if not complete:
            summary += ", and stopped before the end; more may be left"
        return Done(
            summary,
            {
                "deleted": deleted,
                "complete": complete,
                "used_memory_bytes_before": before,
                "used_memory_bytes_after": after,
            },
        )

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002 - the keys tell
        deadline = Deadline.after(self.clients.clock, _LOOK_SECONDS)
        try:
            with connected(target) as client:
                found = _any_match(client, self.params.pattern, deadline)
        except RemediationError:
            return Effect.UNKNOWN
        if found is None:
            return Effect.UNKNOWN
        return Effect.NOT_DONE if found else Effect.DONE

    def _unlink_all(self, client: redis.Redis, deadline: Deadline) -> tuple[int, bool]:
        """How many keys went, and whether that were all."""
        queues = _queue_names(client)
        deleted = 0
        for keys in _scan(client, self.params.pattern, self.params.batch):
            _refuse_celery(keys, queues)
            for batch in _batches(keys[: self.params.max_keys - deleted], self.params.batch):
                deleted += client.unlink(*batch)
            if deleted >= self.params.max_keys or deadline.is_over():
                return deleted, False
        return deleted, True


@dataclass(frozen=True, slots=True)
class FlushDb:
    """Empty the whole cache database. It cannot be undone."""

    params: FlushDbParams
    clients: Clients

    def precheck(self, target: Target) -> Ready | Refused:
        deadline = Deadline.after(self.clients.clock, _LOOK_SECONDS)
        with connected(target) as client:
            against = _reason_not_to_empty(client, deadline)
        return Ready() if against is None else Refused(f"{target.key}: {against}")

    def run(self, target: Target, *, timeout_seconds: float) -> Done:
        deadline = Deadline.after(self.clients.clock, timeout_seconds)
        with connected(target) as client:
            # Once more, in the same breath: what goes is gone.
            against = _reason_not_to_empty(client, deadline)
            if against is not None:
                raise Permanent(f"{target.key} was not flushed: {against}")
            before = client.dbsize()
            client.flushdb(asynchronous=True)
            after = client.dbsize()
        return Done(
            f"flushed database {_address(target).cache_db} of {before} keys",
            {"keys_before": before, "keys_after": after},
        )

    def probe(self, target: Target, *, intended_at: datetime) -> Effect:  # noqa: ARG002 - the keys tell
        # Keys may be of before or of after a flush; only an empty database tells.
        try:
            with connected(target) as client:
                return Effect.UNKNOWN if client.dbsize() else Effect.DONE
        except RemediationError:
            return Effect.UNKNOWN


def _reason_not_to_empty(client: redis.Redis, deadline: Deadline) -> str | None:
    if client.exists(*_CELERY_KEYS):
        return "the cache database holds Celery's queues; give Celery a database of its own"
    for pattern in _CELERY_PATTERNS:
        found = _any_match(client, pattern, deadline)
        if found is None:
            return "the cache database is too big to be searched for Celery's keys in time"
        if found:
            return (
                f"the cache database holds keys of Celery ({pattern}); "
                "give Celery a database of its own"
            )
    return None


def _any_match(client: redis.Redis, pattern: str, deadline: Deadline) -> bool | None:
    """Whether a key matches. None: time was up before the end of the database."""
    for keys in _scan(client, pattern, _SCAN_COUNT):
        if keys:
            return True
        if deadline.is_over():
            return None
    return False


def _scan(client: redis.Redis, pattern: str, count: int) -> Iterator[list[bytes]]:
    """The matching keys in the server's portions, which are often empty."""
    cursor = 0
    while True:
        cursor, keys = cast(
            "tuple[int, list[bytes]]", client.scan(cursor=cursor, match=pattern, count=count)
        )
        yield keys
        if cursor == 0:
            return


def _batches(keys: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _queue_names(client: redis.Redis) -> frozenset[bytes]:
    """The queues that Celery has bound in this database: lists under names of its choice."""
    names: set[bytes] = set()
    for keys in _scan(client, "_kombu.binding.*", _SCAN_COUNT):
        for key in keys:
            members = cast("set[bytes]", client.smembers(key))
            names |= {member.rsplit(_BINDING_SEPARATOR, 1)[-1] for member in members}
    return frozenset(names)


def _refuse_celery(keys: Sequence[bytes], queues: frozenset[bytes]) -> None:
    for key in keys:
        # A queue with priorities is one list each: its name, the separator, the priority.
        if _PIDBOX.search(key) or key.split(_BINDING_SEPARATOR)[0] in queues:
            raise Permanent(
                f"stopped flushing: {key.decode(errors='replace')!r} is a queue of Celery; "
                "make the pattern narrower"
            )


def _used_memory(client: redis.Redis) -> int:
    info = cast("dict[str, int]", client.info("memory"))
    return info["used_memory"]


@contextmanager
def connected(target: Target, db: int | None = None) -> Iterator[redis.Redis]:
    """A connection to the target's cache database, or to `db`, for one call of one action.

    Errors: Transient, Permanent.
    """
    address = _address(target)
    where = f"redis of {target.key} at {address.host}:{address.port}"
    client = redis.Redis(
        host=address.host,
        port=address.port,
        db=address.cache_db if db is None else db,
        password=read_password(address.password_file, where),
        socket_timeout=_SOCKET_SECONDS,
        socket_connect_timeout=_SOCKET_SECONDS,
        retry=Retry(NoBackoff(), 0),  # trying again is the pipeline's to decide
        client_name="stackmedic-remediator",
    )
    try:
        yield client
    except redis.AuthenticationError as error:
        raise Permanent(f"{where} refuses the password: {error}; see its password_file") from error
    except redis.ConnectionError as error:  # also: the dataset is still loading
        raise Transient(f"cannot reach {where}: {error}; see that it runs") from error
    except redis.TimeoutError as error:
        raise Transient(f"{where} did not answer within {_SOCKET_SECONDS:.0f} s") from error
    except redis.RedisError as error:
        raise Permanent(f"{where} refuses: {error}") from error
    finally:
        client.close()


def _address(target: Target) -> RedisAddress:
    if target.redis is None:
        raise Permanent(f"{target.key} has no redis address; give it one in the topology")
    return target.redis
