-- From version 1: orders of humans.
CREATE TABLE pauses (
    source TEXT PRIMARY KEY CHECK (source IN ('file', 'environment', 'api')),
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL,
    until TEXT
) STRICT;

PRAGMA user_version = 2;
