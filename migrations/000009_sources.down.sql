DO $migration$
BEGIN
    SET LOCAL search_path TO muster;
    DROP VIEW inspect.recent_calls, inspect.sources;
    DROP TABLE rotated_write_keys;
    ALTER TABLE sources DROP COLUMN origin, DROP COLUMN rate;
    ALTER TABLE suppressions DROP COLUMN subject_id;
    COMMENT ON COLUMN recent_calls.message_id IS 'Its id.';
    COMMENT ON COLUMN recent_calls.name IS 'Name of the event, page or screen.';
    COMMENT ON COLUMN recent_calls.call IS 'Its beginning, as it came.';
END
$migration$;
