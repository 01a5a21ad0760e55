SET LOCAL search_path TO muster;
DROP TABLE message_keys, events;
DROP SEQUENCE event_seq;
