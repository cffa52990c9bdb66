-- From version 2: resets of circuit breakers.
CREATE TABLE breaker_resets (
    id INTEGER PRIMARY KEY,
    runbook TEXT NOT NULL,
    target TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX resets_of_breaker ON breaker_resets (runbook, target, at);

PRAGMA user_version = 3;
