SET LOCAL search_path TO muster;
DROP TABLE kept_events, message_keys, events;
DROP SEQUENCE event_seq;
