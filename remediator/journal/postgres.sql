-- What a journal on PostgreSQL has instead of the triggers and the index of schema.sql.

-- By a hash: an alert's labels may be longer than a b-tree's entry.
ALTER TABLE signals ADD CONSTRAINT one_firing_signal
    EXCLUDE USING hash (identity WITH =) WHERE (resolved_at IS NULL);

CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        OR NOT EXISTS (SELECT 1 FROM pruning WHERE OLD.at < before)
        OR EXISTS (SELECT 1 FROM incidents WHERE id = OLD.incident_id AND closed_at IS NULL)
    THEN
        RAISE EXCEPTION 'events are append-only';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION events_are_append_only();

CREATE TABLE schema_version (version BIGINT NOT NULL);
