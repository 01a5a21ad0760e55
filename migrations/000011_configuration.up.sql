-- What a configuration says of destinations and identity rules, so that every process finds it here.
-- One block, so that it is one statement (docs/design.md, scaling out).
DO $migration$
BEGIN
    SET LOCAL search_path TO muster;

    ALTER TABLE catalog_version ADD COLUMN configuration bigint NOT NULL DEFAULT 0;
    COMMENT ON COLUMN catalog_version.configuration IS 'Grows by one in each transaction that changes destinations or identity rules, so that a running process notices.';

    ALTER TABLE destinations ADD COLUMN configuration jsonb;
    COMMENT ON COLUMN destinations.configuration IS 'Its settings as configured. Of a secret it holds the name of the variable that has it, if one has, and a hash; null: not known.';
    COMMENT ON TABLE destinations IS 'Whom changes are told to. Secrets stay in the environment, or in the configuration file.';

    CREATE TABLE identity_rules (
        only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        settings   jsonb NOT NULL,
        changed_at timestamptz NOT NULL
    );
    COMMENT ON TABLE identity_rules IS 'One row: how calls find their profile, as configured; none: the defaults.';
    COMMENT ON COLUMN identity_rules.only_row IS 'Always true; makes a second row impossible.';
    COMMENT ON COLUMN identity_rules.settings IS 'The rules that differ from the defaults, by the names that they have in the configuration file.';
    COMMENT ON COLUMN identity_rules.changed_at IS 'When they were last changed; they hold for calls from then on.';
END
$migration$;
