-- From version 3: the storm brake.
CREATE TABLE storm (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    at TEXT NOT NULL
) STRICT;

PRAGMA user_version = 4;
