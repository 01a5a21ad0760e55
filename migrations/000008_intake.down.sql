SET LOCAL search_path TO muster;
DROP TABLE suppression_salt, suppressions, recent_calls;
