-- From version 7: several remediators on one journal.
ALTER TABLE incidents ADD COLUMN held_by INTEGER;

ALTER TABLE pauses RENAME TO pauses_before;
CREATE TABLE pauses (
    source TEXT NOT NULL CHECK (source IN ('file', 'environment', 'api')),
    remediator TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL,
    until TEXT,
    PRIMARY KEY (source, remediator)
) STRICT;
INSERT INTO pauses (source, reason, by, at, until)
SELECT source, reason, by, at, until FROM pauses_before;
DROP TABLE pauses_before;

CREATE TABLE remediators (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    begun_at TEXT NOT NULL,
    beats INTEGER NOT NULL DEFAULT 0,
    beaten_at TEXT NOT NULL,
    ended_at TEXT
) STRICT;
CREATE INDEX remediators_at_work ON remediators (id) WHERE ended_at IS NULL;

PRAGMA user_version = 8;
