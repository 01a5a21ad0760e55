SET LOCAL search_path TO muster;
DROP TABLE dead_letters, queue_barriers, queue_positions, aliases, queue, ledger;
DROP SEQUENCE queue_seq;
