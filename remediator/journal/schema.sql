-- The journal, version 8. Times are UTC text of one width, so that they sort as they are.
-- Invariants that must hold whatever the code does are indexes and triggers here.

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    received_at TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('webhook', 'reconcile')),
    counts TEXT NOT NULL
) STRICT;

-- `held_by`: the remediator that works on it; of a shared journal only.
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY,
    runbook TEXT NOT NULL,
    target TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    closed_at TEXT,
    held_by INTEGER
) STRICT;
CREATE INDEX closed_incidents ON incidents (closed_at) WHERE closed_at IS NOT NULL;
CREATE UNIQUE INDEX one_open_incident ON incidents (runbook, target) WHERE closed_at IS NULL;

-- An alert of an incident, from the first time it was told until it was resolved.
CREATE TABLE signals (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL REFERENCES incidents (id),
    name TEXT NOT NULL,
    identity TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('webhook', 'reconcile')),
    starts_at TEXT NOT NULL,
    received_at TEXT NOT NULL,
    resolved_at TEXT
) STRICT;
CREATE UNIQUE INDEX one_firing_signal ON signals (identity) WHERE resolved_at IS NULL;
CREATE INDEX signals_of_incident ON signals (incident_id);
CREATE INDEX firing_of_incident ON signals (incident_id) WHERE resolved_at IS NULL;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL REFERENCES incidents (id),
    runbook TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    blocked_since TEXT,
    claimed_at TEXT,
    acted_at TEXT,
    verified_at TEXT,
    ended_at TEXT,
    findings TEXT NOT NULL DEFAULT '[]',
    hold_until TEXT
) STRICT;
CREATE INDEX runs_of_incident ON runs (incident_id);
CREATE INDEX runs_of_entry ON runs (runbook, target, id) WHERE claimed_at IS NOT NULL;
CREATE INDEX runs_claimed ON runs (claimed_at) WHERE claimed_at IS NOT NULL;
CREATE UNIQUE INDEX one_active_run_per_target ON runs (target)
    WHERE state IN ('claimed', 'executing', 'verifying', 'interrupted');
CREATE UNIQUE INDEX one_open_run_per_incident ON runs (incident_id)
    WHERE state IN ('blocked', 'awaiting_approval', 'claimed', 'executing', 'verifying',
                    'interrupted');

-- The latest verdict of every guard on a run.
CREATE TABLE guards (
    run_id INTEGER NOT NULL REFERENCES runs (id),
    position INTEGER NOT NULL,
    guard TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('allowed', 'blocked')),
    reason TEXT,
    detail TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
) STRICT;

-- One row per intent, written before the action; its outcome is written after.
CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL REFERENCES incidents (id),
    run_id INTEGER NOT NULL REFERENCES runs (id),
    runbook TEXT NOT NULL,
    step_id TEXT NOT NULL,
    action TEXT NOT NULL,
    repeat TEXT NOT NULL CHECK (repeat IN ('never', 'if_not_done')),
    intent_at TEXT NOT NULL,
    outcome_at TEXT,
    outcome TEXT,
    summary TEXT NOT NULL DEFAULT '',
    evidence TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX steps_of_run ON steps (run_id);
CREATE UNIQUE INDEX never_means_never ON steps (incident_id, runbook, step_id)
    WHERE repeat = 'never';

-- A call for a human; at most one in an incident.
CREATE TABLE escalations (
    incident_id INTEGER PRIMARY KEY REFERENCES incidents (id),
    at TEXT NOT NULL,
    runbook TEXT NOT NULL,
    reason TEXT NOT NULL,
    summary TEXT NOT NULL,
    sent_at TEXT,
    cleared_at TEXT,
    severity TEXT NOT NULL DEFAULT 'P1'
) STRICT;

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

-- The timeline and the audit log: append-only, until a journal's retention is over.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    incident_id INTEGER,
    run_id INTEGER,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE INDEX events_of_incident ON events (incident_id);
CREATE INDEX acknowledgements ON events (incident_id) WHERE kind = 'acknowledged';

-- Holds a row only within a transaction that prunes; nothing younger than it ever goes.
CREATE TABLE pruning (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    before TEXT NOT NULL
) STRICT;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM pruning WHERE OLD.at < before)
    OR EXISTS (SELECT 1 FROM incidents WHERE id = OLD.incident_id AND closed_at IS NULL)
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- Orders of humans to begin nothing: one for each place where it can be ordered. A file and an
-- environment belong to one remediator, which alone can tell when they are gone.
CREATE TABLE pauses (
    source TEXT NOT NULL CHECK (source IN ('file', 'environment', 'api')),
    remediator TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL,
    until TEXT,
    PRIMARY KEY (source, remediator)
) STRICT;

-- Who works on a shared journal. A row is a lease, and its number a fence: a process whose
-- lease was ended by others begins anew with a higher one, and cannot write as the old one.
CREATE TABLE remediators (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    begun_at TEXT NOT NULL,
    beats INTEGER NOT NULL DEFAULT 0,
    beaten_at TEXT NOT NULL,
    ended_at TEXT
) STRICT;
CREATE INDEX remediators_at_work ON remediators (id) WHERE ended_at IS NULL;

-- When a human said that a runbook entry may be tried on a target again.
CREATE TABLE breaker_resets (
    id INTEGER PRIMARY KEY,
    runbook TEXT NOT NULL,
    target TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE INDEX resets_of_breaker ON breaker_resets (runbook, target, at);

-- When it last stormed.
CREATE TABLE storm (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    at TEXT NOT NULL
) STRICT;

-- What a human is asked about a run, with the plan as it was shown, and the answer.
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

-- A run that a human orders, until it was judged: then it has a run, or was refused.
CREATE TABLE run_orders (
    id INTEGER PRIMARY KEY,
    incident_id INTEGER NOT NULL REFERENCES incidents (id),
    runbook TEXT NOT NULL,
    target TEXT NOT NULL,
    labels TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    by TEXT NOT NULL,
    note TEXT NOT NULL,
    at TEXT NOT NULL,
    run_id INTEGER REFERENCES runs (id),
    refused TEXT,
    guards TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX orders_of_incident ON run_orders (incident_id);
CREATE UNIQUE INDEX order_of_run ON run_orders (run_id) WHERE run_id IS NOT NULL;
CREATE UNIQUE INDEX one_order_waits_in_incident ON run_orders (incident_id)
    WHERE run_id IS NULL AND refused IS NULL;

-- Deployments, by whoever took the lock. One that is not released ends at its time.
CREATE TABLE deploy_locks (
    id INTEGER PRIMARY KEY,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL,
    until TEXT NOT NULL,
    released_at TEXT
) STRICT;

-- Work of humans on a target, or on everything (NULL).
CREATE TABLE maintenance (
    id INTEGER PRIMARY KEY,
    target TEXT,
    by TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL,
    until TEXT NOT NULL,
    ended_at TEXT
) STRICT;

-- Which journal it is, for marks outside of it; and when it was last proved to be writable.
CREATE TABLE journal (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    mark TEXT NOT NULL,
    written_at TEXT
) STRICT;
INSERT INTO journal (only, mark) VALUES (1, lower(hex(randomblob(8))));

PRAGMA user_version = 8;
