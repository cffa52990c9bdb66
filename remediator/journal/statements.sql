-- name: add_delivery
INSERT INTO deliveries (received_at, source, counts) VALUES (:at, :source, :counts);

-- name: forget_deliveries
DELETE FROM deliveries WHERE id <= (SELECT max(id) FROM deliveries) - :keep;

-- name: add_event
INSERT INTO events (at, incident_id, run_id, kind, detail)
VALUES (:at, :incident_id, :run_id, :kind, :detail);

-- name: add_incident_event
INSERT INTO events (at, incident_id, kind, detail) VALUES (?, ?, ?, ?);

-- name: open_incident
INSERT INTO incidents (runbook, target, opened_at) VALUES (:runbook, :target, :at) RETURNING id;

-- name: open_incidents
SELECT id, runbook, target FROM incidents WHERE closed_at IS NULL ORDER BY id;

-- name: open_incidents_of
-- But those that another living one works on.
SELECT i.id, i.runbook, i.target, e.incident_id IS NOT NULL AS escalated
FROM incidents i LEFT JOIN escalations e ON e.incident_id = i.id
WHERE i.closed_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM remediators m
                  WHERE m.id = i.held_by AND m.id != :me AND m.ended_at IS NULL)
ORDER BY i.id;

-- name: open_incident_again
SELECT i.id, i.runbook, i.target, e.incident_id IS NOT NULL AS escalated
FROM incidents i LEFT JOIN escalations e ON e.incident_id = i.id
WHERE i.closed_at IS NULL AND i.id = :id;

-- name: incidents_without_fault
SELECT id, runbook, target FROM incidents i
WHERE closed_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM escalations e
                  WHERE e.incident_id = i.id AND e.at > :told_before)
  AND NOT EXISTS (SELECT 1 FROM signals s WHERE s.incident_id = i.id AND s.resolved_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM run_orders o WHERE o.incident_id = i.id
                  AND o.run_id IS NULL AND o.refused IS NULL)
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.incident_id = i.id
                  AND (r.state IN ('claimed', 'executing', 'verifying', 'interrupted')
                       OR r.state = 'effective' AND r.hold_until > :now));

-- name: close_incident
UPDATE incidents SET closed_at = :at WHERE id = :id;

-- name: firing_signals
SELECT s.id, s.name, s.identity, s.source, s.received_at, s.incident_id, i.runbook, i.target
FROM signals s JOIN incidents i ON i.id = s.incident_id WHERE s.resolved_at IS NULL ORDER BY s.id;

-- name: firing_signals_from
SELECT s.id, s.name, s.identity, s.source, s.received_at, s.incident_id, i.runbook, i.target
FROM signals s JOIN incidents i ON i.id = s.incident_id
WHERE s.resolved_at IS NULL AND s.id >= :least ORDER BY s.id;

-- name: told_since
SELECT kind, detail FROM events
WHERE id > :event AND kind IN ('alert_firing', 'alert_resolved') ORDER BY id;

-- name: last_webhook_since
SELECT max(received_at) AS at FROM deliveries WHERE id > :delivery AND source = 'webhook';

-- name: last_told
SELECT (SELECT coalesce(max(id), 0) FROM events) AS event,
    (SELECT coalesce(max(id), 0) FROM deliveries) AS delivery;

-- name: last_signal
SELECT coalesce(max(id), 0) AS id FROM signals;

-- name: add_signal
INSERT INTO signals (id, incident_id, name, identity, fingerprint, source, starts_at, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: resolve_signal
UPDATE signals SET resolved_at = ? WHERE id = ? AND resolved_at IS NULL;

-- name: signal_that_leads
-- The oldest that fires, or the newest; by an index each, however many there are. Without any,
-- the order of the human that opened the incident.
SELECT identity, starts_at, received_at,
    CASE WHEN resolved_at IS NULL THEN 1 ELSE 0 END AS firing, 1 AS told
FROM signals WHERE id = coalesce(
    (SELECT id FROM signals WHERE incident_id = :incident_id AND resolved_at IS NULL
     ORDER BY id LIMIT 1),
    (SELECT id FROM signals WHERE incident_id = :incident_id ORDER BY id DESC LIMIT 1))
UNION ALL
SELECT labels, at, at, 0, 0 FROM run_orders
WHERE id = (SELECT min(id) FROM run_orders WHERE incident_id = :incident_id)
  AND NOT EXISTS (SELECT 1 FROM signals WHERE incident_id = :incident_id);

-- name: steps_before
SELECT count(*) AS total FROM steps WHERE incident_id = :incident_id AND id < :id;

-- name: last_run
SELECT * FROM runs WHERE incident_id = :incident_id ORDER BY id DESC LIMIT 1;

-- name: run
SELECT * FROM runs WHERE id = :id;

-- name: open_run_of_incident
SELECT * FROM runs WHERE incident_id = :incident_id
  AND state IN ('blocked', 'awaiting_approval', 'claimed', 'executing', 'verifying',
                'interrupted');

-- name: watched_runs
SELECT * FROM runs WHERE incident_id = :incident_id AND state = 'effective'
  AND hold_until IS NOT NULL;

-- name: hold_run
UPDATE runs SET state = 'held' WHERE id = :id AND state = 'effective';

-- name: active_runs
SELECT * FROM runs WHERE state IN ('claimed', 'executing', 'verifying') ORDER BY id;

-- name: blocking_reasons
SELECT reason FROM guards WHERE run_id = :run_id AND verdict = 'blocked' ORDER BY position;

-- name: steps_of_run
SELECT id, step_id, intent_at, outcome FROM steps WHERE run_id = :run_id ORDER BY id;

-- name: past_runs
-- The newest of each entry on each target too, however old: its breaker may still be open.
SELECT id, runbook, target, state, claimed_at, ended_at, forgiven FROM (
    SELECT r.*,
        row_number() OVER (PARTITION BY runbook, target ORDER BY id DESC) AS recency,
        EXISTS (SELECT 1 FROM breaker_resets b WHERE b.runbook = r.runbook
                AND b.target = r.target AND b.at >= r.claimed_at) AS forgiven
    FROM runs r WHERE claimed_at IS NOT NULL AND id != :run_id) AS ranked
WHERE claimed_at >= :since OR ended_at >= :since OR ended_at IS NULL OR recency <= 20
ORDER BY id;

-- name: add_run
-- Not in an incident that has been closed since somebody looked.
INSERT INTO runs (incident_id, runbook, target, state, created_at)
SELECT id, :runbook, :target, 'blocked', :at FROM incidents
WHERE id = :incident_id AND closed_at IS NULL;

-- name: judge_run
UPDATE runs SET state = :state, reason = :reason, detail = :detail,
    blocked_since = CASE WHEN :state != 'blocked' THEN NULL
                         WHEN reason = :reason THEN coalesce(blocked_since, :at)
                         ELSE :at END,
    claimed_at = CASE WHEN :state = 'claimed' THEN :at END,
    ended_at = CASE WHEN :state = 'skipped' THEN :at END
WHERE id = :id AND state IN ('blocked', 'awaiting_approval');

-- name: move_run
UPDATE runs SET state = :state,
    acted_at = CASE WHEN :state = 'verifying' THEN coalesce(acted_at, :at) ELSE acted_at END
WHERE id = :id AND ended_at IS NULL;

-- name: end_run
-- A success that is watched may still turn out to have been none.
UPDATE runs SET state = :state, reason = :reason, detail = :detail,
    findings = CASE WHEN state = 'effective' THEN findings ELSE :findings END,
    ended_at = coalesce(ended_at, :at),
    verified_at = CASE WHEN acted_at IS NULL THEN NULL ELSE coalesce(verified_at, :at) END,
    hold_until = :hold_until
WHERE id = :id AND (ended_at IS NULL OR state = 'effective');

-- name: forget_guards
DELETE FROM guards WHERE run_id = :run_id;

-- name: add_guard
INSERT INTO guards (run_id, position, guard, verdict, reason, detail)
VALUES (:run_id, :position, :guard, :verdict, :reason, :detail);

-- name: add_step
INSERT INTO steps (incident_id, run_id, runbook, step_id, action, repeat, intent_at)
SELECT incident_id, id, runbook, :step_id, :action, :repeat, :at FROM runs WHERE id = :run_id
ON CONFLICT DO NOTHING RETURNING id;

-- name: end_step
UPDATE steps SET outcome = :outcome, outcome_at = :at, summary = :summary, evidence = :evidence
WHERE id = :id AND outcome IS NULL;

-- name: step_owner
SELECT incident_id, run_id, step_id FROM steps WHERE id = :id;

-- name: add_escalation
INSERT INTO escalations (incident_id, at, runbook, reason, summary, severity)
VALUES (:incident_id, :at, :runbook, :reason, :summary, :severity) ON CONFLICT DO NOTHING;

-- name: escalations_to_send
SELECT e.*, i.closed_at FROM escalations e JOIN incidents i ON i.id = e.incident_id
WHERE e.cleared_at IS NULL ORDER BY e.incident_id;

-- name: escalation_sent
UPDATE escalations SET sent_at = :at WHERE incident_id = :incident_id;

-- name: escalation_cleared
UPDATE escalations SET cleared_at = :at WHERE incident_id = :incident_id;

-- name: incidents_without_progress
SELECT id FROM incidents i WHERE closed_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM progress p WHERE p.incident_id = i.id)
  AND (opened_at <= :before OR EXISTS (SELECT 1 FROM runs r WHERE r.incident_id = i.id));

-- name: add_progress
INSERT INTO progress (incident_id, severity) VALUES (:incident_id, :severity);

-- name: progress_again
-- A success that came back is told of anew.
UPDATE progress SET cleared_at = NULL, sent_at = NULL
WHERE cleared_at IS NOT NULL AND incident_id IN (
    SELECT id FROM incidents i WHERE closed_at IS NULL
      AND EXISTS (SELECT 1 FROM signals s WHERE s.incident_id = i.id AND s.resolved_at IS NULL)
      AND coalesce((SELECT state FROM runs r WHERE r.incident_id = i.id ORDER BY id DESC LIMIT 1),
                   '') != 'effective');

-- name: progress_to_send
-- What is mended is told as soon as nothing fires, not when it has been watched for long enough.
SELECT p.*, i.closed_at IS NOT NULL
    OR (coalesce((SELECT state FROM runs r WHERE r.incident_id = i.id ORDER BY id DESC LIMIT 1),
                 '') = 'effective'
        AND NOT EXISTS (SELECT 1 FROM signals s
                        WHERE s.incident_id = i.id AND s.resolved_at IS NULL)) AS over
FROM progress p JOIN incidents i ON i.id = p.incident_id
WHERE p.cleared_at IS NULL ORDER BY p.incident_id;

-- name: progress_sent
UPDATE progress SET sent_at = :at WHERE incident_id = :incident_id;

-- name: progress_cleared
UPDATE progress SET cleared_at = :at WHERE incident_id = :incident_id;

-- name: runs_in_progress_by_target
SELECT target, count(*) AS total FROM runs
WHERE state IN ('claimed', 'executing', 'verifying', 'interrupted') GROUP BY target;

-- name: open_escalations_by_target
SELECT i.target, count(*) AS total FROM escalations e JOIN incidents i ON i.id = e.incident_id
WHERE i.closed_at IS NULL GROUP BY i.target;

-- name: incidents_newest_first
SELECT i.*, (SELECT name FROM remediators m WHERE m.id = i.held_by
    AND (m.ended_at IS NULL OR i.closed_at IS NOT NULL)) AS worked_on_by
FROM incidents i ORDER BY id DESC LIMIT :limit;

-- name: incidents_wanted
SELECT i.*, (SELECT name FROM remediators m WHERE m.id = i.held_by
    AND (m.ended_at IS NULL OR i.closed_at IS NOT NULL)) AS worked_on_by
FROM incidents i WHERE id < :before
  AND (:state = '' OR (closed_at IS NULL) = (:state = 'open'))
  AND :entry IN ('', runbook) AND :target IN ('', target)
  AND (closed_at IS NULL OR closed_at >= :since)
  AND (:text = '' OR lower(target) LIKE :text ESCAPE '!' OR lower(runbook) LIKE :text ESCAPE '!'
       OR EXISTS (SELECT 1 FROM signals s WHERE s.incident_id = i.id
                  AND lower(s.identity) LIKE :text ESCAPE '!')
       OR EXISTS (SELECT 1 FROM runs r WHERE r.incident_id = i.id
                  AND lower(r.detail) LIKE :text ESCAPE '!')
       OR EXISTS (SELECT 1 FROM escalations e WHERE e.incident_id = i.id
                  AND lower(e.summary) LIKE :text ESCAPE '!')
       OR EXISTS (SELECT 1 FROM run_orders o WHERE o.incident_id = i.id
                  AND lower(o.note) LIKE :text ESCAPE '!')
       OR EXISTS (SELECT 1 FROM events v WHERE v.incident_id = i.id AND v.kind = 'acknowledged'
                  AND lower(v.detail) LIKE :text ESCAPE '!'))
ORDER BY id DESC LIMIT :limit;

-- name: runs_at_work
SELECT * FROM runs WHERE state IN ('claimed', 'executing', 'verifying', 'interrupted')
ORDER BY id;

-- name: claimed_runs
-- Its alert is the first of those that had not ended when the run was claimed.
SELECT r.id, r.incident_id, r.runbook, r.target, r.state, r.reason, r.claimed_at, r.ended_at,
    (SELECT min(s.starts_at) FROM signals s WHERE s.incident_id = r.incident_id
     AND (s.resolved_at IS NULL OR s.resolved_at >= r.claimed_at)) AS alert_at,
    (SELECT o.by FROM run_orders o WHERE o.run_id = r.id) AS ordered_by
FROM runs r WHERE claimed_at >= :since ORDER BY id DESC;

-- name: last_webhook
SELECT max(received_at) AS at FROM deliveries WHERE source = 'webhook';

-- name: count_open_incidents
SELECT count(*) AS total FROM incidents WHERE closed_at IS NULL;

-- name: incident
SELECT i.*, (SELECT name FROM remediators m WHERE m.id = i.held_by
    AND (m.ended_at IS NULL OR i.closed_at IS NOT NULL)) AS worked_on_by
FROM incidents i WHERE id = :id;

-- name: signals_of_incident
SELECT * FROM signals WHERE incident_id = :incident_id ORDER BY id LIMIT :limit;

-- name: signals_in_incident
SELECT count(*) AS total FROM signals WHERE incident_id = :incident_id;

-- name: runs_of_incident
SELECT * FROM runs WHERE incident_id = :incident_id ORDER BY id;

-- name: guards_of_run
SELECT guard, verdict, reason, detail FROM guards WHERE run_id = :run_id ORDER BY position;

-- name: full_steps_of_run
SELECT * FROM steps WHERE run_id = :run_id ORDER BY id;

-- name: escalation_of_incident
SELECT at, reason, summary, cleared_at FROM escalations WHERE incident_id = :incident_id;

-- name: events_of_incident
-- Of alerts the first :alerts only: a thousand of them must not hide what was done.
SELECT at, run_id, kind, detail FROM events
WHERE incident_id = :incident_id
  AND (kind NOT IN ('alert_firing', 'alert_resolved')
       OR id <= coalesce((SELECT id FROM events WHERE incident_id = :incident_id
                          AND kind IN ('alert_firing', 'alert_resolved')
                          ORDER BY id LIMIT 1 OFFSET :alerts - 1), 9e18))
ORDER BY id LIMIT :limit;

-- name: events_in_incident
SELECT count(*) AS total FROM events WHERE incident_id = :incident_id;

-- name: pauses
SELECT * FROM pauses ORDER BY at, source, remediator;

-- name: set_pause
INSERT INTO pauses (source, remediator, reason, by, at, until)
VALUES (:source, :remediator, :reason, :by, :at, :until)
ON CONFLICT (source, remediator) DO UPDATE
SET reason = excluded.reason, by = excluded.by, at = excluded.at, until = excluded.until;

-- name: end_pause
DELETE FROM pauses WHERE source = :source AND remediator = :remediator;

-- name: pauses_of_the_dead
SELECT source, remediator FROM pauses p WHERE remediator != ''
  AND NOT EXISTS (SELECT 1 FROM remediators m WHERE m.name = p.remediator AND m.ended_at IS NULL);

-- name: reset_breaker
INSERT INTO breaker_resets (runbook, target, by, at) VALUES (:runbook, :target, :by, :at);

-- name: storm
SELECT at FROM storm;

-- name: saw_storm
INSERT INTO storm (only, at) VALUES (1, :at) ON CONFLICT (only) DO UPDATE SET at = excluded.at;

-- name: prove
UPDATE journal SET written_at = :at;

-- name: mark
SELECT mark FROM journal;

-- name: incident_to_forget
-- The newest runs of an entry on a target stay, as in past_runs.
SELECT id FROM incidents i WHERE closed_at < :before
  AND NOT EXISTS (SELECT 1 FROM escalations e
                  WHERE e.incident_id = i.id AND e.cleared_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM progress p
                  WHERE p.incident_id = i.id AND p.cleared_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM issues s WHERE s.incident_id = i.id AND s.state = 'wanted')
  AND NOT EXISTS (SELECT 1 FROM events v WHERE v.incident_id = i.id AND v.at >= :before)
  AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.incident_id = i.id AND r.claimed_at IS NOT NULL
                  AND (SELECT count(*) FROM (SELECT 1 FROM runs n WHERE n.runbook = r.runbook
                       AND n.target = r.target AND n.claimed_at IS NOT NULL AND n.id > r.id
                       LIMIT 20) AS newer) < 20)
ORDER BY closed_at LIMIT 1;

-- name: begin_pruning
INSERT INTO pruning (only, before) VALUES (1, :before);

-- name: end_pruning
DELETE FROM pruning;

-- name: prune_guards
DELETE FROM guards WHERE (run_id, position) IN (
    SELECT g.run_id, g.position FROM guards g JOIN runs r ON r.id = g.run_id
    WHERE r.incident_id = :incident_id LIMIT :limit);

-- name: prune_orders
DELETE FROM run_orders WHERE id IN (SELECT id FROM run_orders WHERE incident_id = :incident_id
                                    LIMIT :limit);

-- name: prune_approvals
DELETE FROM approvals WHERE run_id IN (SELECT a.run_id FROM approvals a JOIN runs r
                                       ON r.id = a.run_id
                                       WHERE r.incident_id = :incident_id LIMIT :limit);

-- name: prune_steps
DELETE FROM steps WHERE id IN (SELECT s.id FROM steps s JOIN runs r ON r.id = s.run_id
                               WHERE r.incident_id = :incident_id LIMIT :limit);

-- name: prune_runs
DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE incident_id = :incident_id LIMIT :limit);

-- name: prune_signals
DELETE FROM signals WHERE id IN (SELECT id FROM signals WHERE incident_id = :incident_id
                                 LIMIT :limit);

-- name: prune_escalation
DELETE FROM escalations WHERE incident_id = :incident_id AND :limit > 0;

-- name: prune_progress
DELETE FROM progress WHERE incident_id = :incident_id AND :limit > 0;

-- name: prune_issue
DELETE FROM issues WHERE incident_id = :incident_id AND :limit > 0;

-- name: prune_events
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE incident_id = :incident_id
                                LIMIT :limit);

-- name: prune_incident
DELETE FROM incidents WHERE id = :id;

-- name: prune_other_events
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE incident_id IS NULL AND at < :before
                                LIMIT :limit);

-- name: prune_deploy_locks
-- But the last, which says how long ago somebody deployed.
DELETE FROM deploy_locks WHERE id IN (
    SELECT id FROM deploy_locks WHERE until < :before
      AND id < (SELECT max(id) FROM deploy_locks) LIMIT :limit);

-- name: prune_maintenance
DELETE FROM maintenance WHERE id IN (
    SELECT id FROM maintenance WHERE coalesce(ended_at, until) < :before LIMIT :limit);

-- name: prune_breaker_resets
-- One that forgives nothing any more: its runs are gone, or a later one forgives them too.
DELETE FROM breaker_resets WHERE id IN (
    SELECT id FROM breaker_resets b WHERE at < :before
      AND (EXISTS (SELECT 1 FROM breaker_resets n WHERE n.runbook = b.runbook
                   AND n.target = b.target AND n.at > b.at)
           OR NOT EXISTS (SELECT 1 FROM runs r WHERE r.runbook = b.runbook
                          AND r.target = b.target AND r.claimed_at <= b.at))
    LIMIT :limit);

-- name: prune_old_deliveries
DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE received_at < :before
                                    LIMIT :limit);

-- name: incidents_without_issue
SELECT id, opened_at, (
    SELECT max(p.closed_at) FROM incidents p JOIN runs r
    ON r.incident_id = p.id AND r.state IN ('effective', 'held')
    WHERE p.runbook = i.runbook AND p.target = i.target AND p.id < i.id) AS mended_before
FROM incidents i WHERE closed_at >= :since
  AND NOT EXISTS (SELECT 1 FROM issues s WHERE s.incident_id = i.id)
ORDER BY id LIMIT :limit;

-- name: add_issue
INSERT INTO issues (incident_id, state, due_at) VALUES (:incident_id, :state, :at)
ON CONFLICT DO NOTHING;

-- name: issues_due
SELECT incident_id, tries FROM issues WHERE state = 'wanted' AND due_at <= :at
ORDER BY due_at LIMIT :limit;

-- name: put_off_issue
UPDATE issues SET due_at = :at, tries = tries + 1
WHERE incident_id = :incident_id AND state = 'wanted';

-- name: end_issue
UPDATE issues SET state = :state, url = :url WHERE incident_id = :incident_id;

-- name: issue_of_incident
SELECT url FROM issues WHERE incident_id = :incident_id;

-- name: approval
SELECT plan_hash, expires_at, decision, by, decided_at FROM approvals WHERE run_id = :run_id;

-- name: ask_approval
INSERT INTO approvals (run_id, plan_hash, plan, asked_at, expires_at)
VALUES (:run_id, :plan_hash, :plan, :at, :expires_at)
ON CONFLICT (run_id) DO UPDATE
SET plan_hash = excluded.plan_hash, plan = excluded.plan, asked_at = excluded.asked_at,
    expires_at = excluded.expires_at, decision = NULL, by = '', decided_at = NULL;

-- name: decide
UPDATE approvals SET decision = :decision, by = :by, decided_at = :at WHERE run_id = :run_id
  AND decision IS NULL AND expires_at > :at AND plan_hash = :plan_hash
  AND EXISTS (SELECT 1 FROM runs r WHERE r.id = :run_id
              AND r.state IN ('awaiting_approval', 'blocked'));

-- name: open_approvals
SELECT a.run_id, a.plan_hash, a.plan, a.asked_at, a.expires_at, r.incident_id, r.runbook, r.target
FROM approvals a JOIN runs r ON r.id = a.run_id
WHERE a.decision IS NULL AND r.state IN ('awaiting_approval', 'blocked') ORDER BY a.expires_at;

-- name: approvals_waiting_by_target
SELECT target, count(*) AS total FROM runs WHERE state = 'awaiting_approval' GROUP BY target;

-- name: open_incidents_on
SELECT id, runbook FROM incidents WHERE closed_at IS NULL AND target = :target ORDER BY id;

-- name: never_tried
-- Steps of an entry that may not be tried again while the incident is open.
SELECT step_id FROM steps
WHERE incident_id = :incident_id AND runbook = :runbook AND repeat = 'never' ORDER BY id;

-- name: add_run_order
INSERT INTO run_orders (incident_id, runbook, target, labels, plan_hash, by, note, at)
VALUES (:incident_id, :runbook, :target, :labels, :plan_hash, :by, :note, :at) RETURNING id;

-- name: waiting_order
SELECT * FROM run_orders
WHERE incident_id = :incident_id AND run_id IS NULL AND refused IS NULL;

-- name: order_of_run
SELECT * FROM run_orders WHERE run_id = :run_id;

-- name: orders_of_incident
SELECT * FROM run_orders WHERE incident_id = :incident_id ORDER BY id;

-- name: take_order
UPDATE run_orders SET run_id = :run_id WHERE id = :id AND run_id IS NULL AND refused IS NULL;

-- name: refuse_order
UPDATE run_orders SET refused = :why, guards = :guards
WHERE id = :id AND run_id IS NULL AND refused IS NULL;

-- name: acknowledgement_of_incident
-- The newest: who is on it now.
SELECT at, detail FROM events WHERE incident_id = :incident_id AND kind = 'acknowledged'
ORDER BY id DESC LIMIT 1;

-- name: acknowledged_targets
SELECT DISTINCT i.target FROM incidents i JOIN events e
ON e.incident_id = i.id AND e.kind = 'acknowledged' WHERE i.closed_at IS NULL;

-- name: last_deploy
SELECT * FROM deploy_locks ORDER BY id DESC LIMIT 1;

-- name: take_deploy_lock
INSERT INTO deploy_locks (by, reason, at, until) VALUES (:by, :reason, :at, :until);

-- name: release_deploy_lock
UPDATE deploy_locks SET released_at = :at
WHERE id = (SELECT max(id) FROM deploy_locks) AND released_at IS NULL;

-- name: disturbing_runs
SELECT id, runbook, target FROM runs
WHERE state IN ('claimed', 'executing', 'verifying', 'interrupted') ORDER BY id;

-- name: maintenance
SELECT * FROM maintenance WHERE ended_at IS NULL AND until > :now ORDER BY id;

-- name: begin_maintenance
INSERT INTO maintenance (target, by, reason, at, until)
VALUES (:target, :by, :reason, :at, :until) RETURNING id;

-- name: end_maintenance
UPDATE maintenance SET ended_at = :at WHERE id = :id AND ended_at IS NULL AND until > :at;

-- name: begin_remediator
INSERT INTO remediators (name, begun_at, beaten_at) VALUES (:name, :at, :at) RETURNING id;

-- name: beat
UPDATE remediators SET beats = beats + 1, beaten_at = :at WHERE id = :me AND ended_at IS NULL;

-- name: at_work
SELECT id, name, beats FROM remediators WHERE ended_at IS NULL AND id != :me ORDER BY id;

-- name: first_at_work
SELECT min(id) AS id FROM remediators WHERE ended_at IS NULL;

-- name: sharers
-- Those at work, and those that have gone since then and not come back under their name.
SELECT m.id, m.name, m.begun_at, m.beaten_at, m.ended_at,
    (SELECT count(*) FROM incidents i WHERE i.held_by = m.id AND i.closed_at IS NULL) AS incidents
FROM remediators m
WHERE m.ended_at IS NULL
   OR m.ended_at >= :since
      AND NOT EXISTS (SELECT 1 FROM remediators n WHERE n.name = m.name AND n.id > m.id)
ORDER BY m.id LIMIT 50;

-- name: end_remediator
UPDATE remediators SET ended_at = :at WHERE id = :id AND ended_at IS NULL;

-- name: end_remediators_named
UPDATE remediators SET ended_at = :at WHERE name = :name AND ended_at IS NULL;

-- name: holds
SELECT i.id FROM incidents i JOIN remediators m ON m.id = i.held_by
WHERE i.id = :incident_id AND m.id = :me AND m.ended_at IS NULL;

-- name: take_incident
-- Only from nobody or from a dead one, and only by one that is not taken for dead itself.
UPDATE incidents SET held_by = :me WHERE id = :incident_id AND closed_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM remediators m
                  WHERE m.id = incidents.held_by AND m.ended_at IS NULL)
  AND EXISTS (SELECT 1 FROM remediators m WHERE m.id = :me AND m.ended_at IS NULL);

-- name: release_incident
UPDATE incidents SET held_by = NULL WHERE id = :incident_id AND held_by = :me;

-- name: prune_remediators
DELETE FROM remediators WHERE id IN (SELECT id FROM remediators WHERE ended_at < :before
                                     LIMIT :limit);
