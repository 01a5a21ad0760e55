DO $migration$
BEGIN
    SET LOCAL search_path TO muster;
    DROP TABLE identity_rules;
    ALTER TABLE destinations DROP COLUMN configuration;
    ALTER TABLE catalog_version DROP COLUMN configuration;
    COMMENT ON TABLE destinations IS 'Whom changes are told to. Settings and secrets stay in the configuration file.';
END
$migration$;
