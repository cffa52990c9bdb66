-- From version 6: runs that humans order, and acknowledgements.
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

CREATE INDEX acknowledgements ON events (incident_id) WHERE kind = 'acknowledged';

PRAGMA user_version = 7;
