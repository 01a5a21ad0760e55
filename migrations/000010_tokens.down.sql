DO $migration$
BEGIN
    SET LOCAL search_path TO muster;
    DROP VIEW inspect.api_tokens;
    DROP TABLE api_tokens;
END
$migration$;
