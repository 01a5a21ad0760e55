SET LOCAL search_path TO muster;
DROP TABLE retellings, backfills, runs, slots, due_evaluations, value_changes, computed_values, overflows, leaf_states;
