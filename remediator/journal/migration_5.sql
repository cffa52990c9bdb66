-- From version 4: approvals, deployments, maintenance, and successes that are watched.
ALTER TABLE runs ADD COLUMN hold_until TEXT;
DROP INDEX one_open_run_per_incident;
CREATE UNIQUE INDEX one_open_run_per_incident ON runs (incident_id)
    WHERE state IN ('blocked', 'awaiting_approval', 'claimed', 'executing', 'verifying',
                    'interrupted');

CREATE TABLE approvals (
    run_id INTEGER PRIMARY KEY REFERENCES runs (id),
    plan_hash TEXT NOT NULL,
    plan TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    decision TEXT CHECK (decision IN ('approved', 'denied')),
    by TEXT NOT NULL DEFAULT '',
    decided_at TEXT
) STRICT;

CREATE TABLE deploy_locks (
    id INTEGER PRIMARY KEY,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL,
    until TEXT NOT NULL,
    released_at TEXT
) STRICT;

CREATE TABLE maintenance (
    id INTEGER PRIMARY KEY,
    target TEXT,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL,
    until TEXT NOT NULL,
    ended_at TEXT
) STRICT;

PRAGMA user_version = 5;
