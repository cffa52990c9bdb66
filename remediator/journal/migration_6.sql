-- From version 5: progress, issues, retention.
ALTER TABLE signals DROP COLUMN last_seen_at;
ALTER TABLE escalations ADD COLUMN severity TEXT NOT NULL DEFAULT 'P1';

CREATE INDEX firing_of_incident ON signals (incident_id) WHERE resolved_at IS NULL;
CREATE INDEX runs_of_entry ON runs (runbook, target, id) WHERE claimed_at IS NOT NULL;
CREATE INDEX closed_incidents ON incidents (closed_at) WHERE closed_at IS NOT NULL;

-- What is told of an urgent incident while it is worked on; one in an incident.
CREATE TABLE progress (
    incident_id INTEGER PRIMARY KEY REFERENCES incidents (id),
    severity TEXT NOT NULL,
    sent_at TEXT,
    cleared_at TEXT
) STRICT;

-- The issue that is, or is not, written about a closed incident.
CREATE TABLE issues (
    incident_id INTEGER PRIMARY KEY REFERENCES incidents (id),
    state TEXT NOT NULL CHECK (state IN ('unwanted', 'wanted', 'created', 'given_up')),
    due_at TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    url TEXT
) STRICT;
CREATE INDEX issues_to_write ON issues (due_at) WHERE state = 'wanted';

CREATE INDEX events_of_incident ON events (incident_id);

DROP TRIGGER events_never_go;
-- Holds a row only within a transaction that prunes; nothing younger than it ever goes.
CREATE TABLE pruning (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    before TEXT NOT NULL
) STRICT;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE OLD.at < before)
    OR EXISTS (SELECT 1 FROM incidents WHERE id = OLD.incident_id AND closed_at IS NULL)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- Which journal it is, for marks outside of it; and when it was last proved to be writable.
CREATE TABLE journal (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    mark TEXT NOT NULL,
    written_at TEXT
) STRICT;
INSERT INTO journal (only, mark) VALUES (1, lower(hex(randomblob(8))));

PRAGMA user_version = 6;
