package store_test

import (
	"testing"
	"time"

	"muster/engine"
	"muster/internal/pgtest"
	"muster/store"
)

// A sweep drops days of message keys outside of the window, and parts of the queue that
// every destination is past; what waits to be told stays.
func TestSweep(t *testing.T) {
	ctx := t.Context()
	pool := pgtest.New(t)
	s := store.New(pool)
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for day := range 12 {
		if err := s.Prepare(ctx, nil, []time.Time{start.AddDate(0, 0, day)}); err != nil {
			t.Fatal(err)
		}
	}
	now := start.AddDate(0, 0, 11)
	if err := s.EnsureDestinations(ctx, map[string]string{"mp": "mixpanel"}, now); err != nil {
		t.Fatal(err)
	}
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(ctx, statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	const part = 1 << 22
	exec(`INSERT INTO queue (destination_id, lane, seq, connection_id, bucket, profile_id, form, ids, value, told, at, reason, queued_at)
		SELECT destination_id, 3, seq, 1, 0, 1, 'identify', 'user:u', 'true', 1, $1, 'entered', $1
		FROM destinations, unnest(ARRAY[10, $2 + 10]::bigint[]) AS seq`, now, part)
	exec(`INSERT INTO queue_positions (destination_id, lane, seq) SELECT destination_id, 3, 10 FROM destinations`)
	exec(`SELECT setval('queue_seq', $1)`, 3*part)
	exec(`INSERT INTO identity_violations (bucket, profile_id, id_type, id_value, rule, reason, message_id, happened_at)
		SELECT 0, 1, 'email', 'e@x.test', 'value_limit', 'a reason', 'm', $1::timestamptz - days * interval '1 day' FROM unnest(ARRAY[0, 29, 31, 400]) AS days`, now)

	keep := store.Keep{DedupWindow: 7 * 24 * time.Hour, Values: 30 * 24 * time.Hour}
	swept, err := s.Sweep(ctx, keep, now)
	if err != nil {
		t.Fatal(err)
	}
	// Kept: 5 to 12 March. The first day prepared also made the one before it.
	if swept.KeyDays != 5 {
		t.Errorf("%d days of keys dropped, want 5 (28 February to 4 March)", swept.KeyDays)
	}
	// The first part is read to its end; the second holds a message that waits; the third was never used.
	if swept.QueueParts != 2 {
		t.Errorf("%d parts of the queue dropped, want 2", swept.QueueParts)
	}
	if swept.Violations != 2 {
		t.Errorf("%d violations dropped, want the 2 that are older than 30 days", swept.Violations)
	}
	var waiting int
	if err := pool.QueryRow(ctx, `SELECT count(*) FROM queue`).Scan(&waiting); err != nil || waiting != 1 {
		t.Errorf("%d messages left, %v; want the one that waits", waiting, err)
	}
	if again, err := s.Sweep(ctx, keep, now); err != nil || again != (store.Swept{}) {
		t.Errorf("a second sweep dropped %+v, %v", again, err)
	}
}

// What was held before the history that is kept is known as long as it is held still.
func TestSweepOfTheHistoryOfValues(t *testing.T) {
	ctx := t.Context()
	pool := pgtest.New(t)
	s := store.New(pool)
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	for month := range 6 {
		if err := s.Prepare(ctx, nil, []time.Time{time.Date(2026, time.Month(1+month), 2, 0, 0, 0, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
	}
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := pool.Exec(ctx, statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	bucket := engine.ProfileBucket(1)
	exec(`INSERT INTO value_changes (bucket, profile_id, computation_id, changed_at, value, reason) VALUES
		($1, 1, 7, '2026-01-05', '1', 'event'), ($1, 1, 8, '2026-01-05', '1', 'event'), ($1, 1, 8, '2026-05-20', '2', 'event')`, bucket)
	exec(`INSERT INTO computed_values (bucket, profile_id, computation_id, value, since, reason) VALUES
		($1, 1, 7, '1', '2026-01-05', 'event'), ($1, 1, 8, '2', '2026-05-20', 'event')`, bucket)
	swept, err := s.Sweep(ctx, store.Keep{DedupWindow: 7 * 24 * time.Hour, Values: 30 * 24 * time.Hour}, now)
	if err != nil || swept.ValueMonths != 4 { // May ends after the 16th of it
		t.Fatalf("%+v, %v; want January to April dropped", swept, err)
	}
	var held map[int64]engine.Held
	err = s.Look(ctx, func(r engine.Records) (err error) {
		held, err = r.ValuesAt(ctx, 1, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
		return err
	})
	if err != nil || held[7].Value.String() != "1" || held[8].Value.String() != "2" {
		t.Errorf("held %v, %v", held, err)
	}
}

// The ledger of a connection goes a while after the connection, that of others stays.
func TestSweepOfRemovedConnections(t *testing.T) {
	ctx := t.Context()
	pool := pgtest.New(t)
	s := store.New(pool)
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	if err := s.EnsureDestinations(ctx, map[string]string{"mp": "mixpanel"}, now); err != nil {
		t.Fatal(err)
	}
	_, err := pool.Exec(ctx, `
		WITH c AS (INSERT INTO computations (key, name, kind, status, created_at, created_seq) VALUES ('k', 'K', 'audience', 'live', now(), 0) RETURNING computation_id),
		n AS (INSERT INTO connections (computation_id, destination_id, emit, created_at, removed_at)
			SELECT c.computation_id, d.destination_id, 'identify', $1, r FROM c, destinations d, unnest(ARRAY[$1::timestamptz - interval '91 days', $1::timestamptz - interval '3 days', NULL]::timestamptz[]) AS r RETURNING connection_id)
		INSERT INTO ledger (bucket, profile_id, connection_id, ids, value, told, told_at) SELECT b, b, n.connection_id, 'user:u', 'true', 1, $1 FROM n, generate_series(0, 1023, 100) AS b`, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, `INSERT INTO dead_letters (destination_id, lane, seq, kind, code, reason, connection_id, bucket, profile_id, form, ids, value, told, at, reason_told, attempts, died_at, resolution, resolved_at)
		SELECT 1, 0, row_number() OVER (), 'rejected', 'c', 'r', 1, 0, 1, 'identify', 'user:u', 'true', 1, $1, 'entered', 1, $1, CASE WHEN r IS NOT NULL THEN 'dropped' END, r
		FROM unnest(ARRAY[$1::timestamptz - interval '91 days', $1::timestamptz - interval '3 days', NULL]::timestamptz[]) AS r`, now); err != nil {
		t.Fatal(err)
	}
	swept, err := s.Sweep(ctx, store.Keep{}, now)
	if err != nil || swept.Ledger != 11 || swept.DeadLetters != 1 {
		t.Errorf("%+v, %v; want the 11 lines of one connection, and one dead letter", swept, err)
	}
	var lines, letters int
	if err := pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM ledger), (SELECT count(*) FROM dead_letters)`).Scan(&lines, &letters); err != nil || lines != 22 || letters != 2 {
		t.Errorf("%d lines and %d dead letters are left, %v", lines, letters, err)
	}
	if again, err := s.Sweep(ctx, store.Keep{}, now); err != nil || again != (store.Swept{}) {
		t.Errorf("a second sweep dropped %+v, %v", again, err)
	}
}
