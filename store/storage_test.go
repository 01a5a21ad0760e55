package store_test

import (
	"testing"
	"time"

	"muster/internal/pgtest"
	"muster/store"
)

// Every table is in inspect.storage, with all of its partitions.
func TestStorageCountsEachTableOnce(t *testing.T) {
	pool := pgtest.New(t)
	if err := store.New(pool).Prepare(t.Context(), nil, []time.Time{time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}); err != nil {
		t.Fatal(err)
	}
	var missing, events int
	var differ int64
	err := pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = 'muster' AND tablename NOT IN (SELECT name FROM inspect.storage)
				AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = ('muster.' || tablename)::regclass AND c.relispartition)),
			(SELECT partitions FROM inspect.storage WHERE name = 'events'),
			(SELECT sum(bytes) FROM inspect.storage) - (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relnamespace = 'muster'::regnamespace AND c.relkind = 'r')`).
		Scan(&missing, &events, &differ)
	if err != nil || missing != 0 || events != 2 || differ != 0 {
		t.Errorf("%d tables are missing, events has %d partitions, sizes differ by %d, %v", missing, events, differ, err)
	}
}
