package store_test

import (
	"testing"
	"time"

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

	swept, err := s.Sweep(ctx, 7*24*time.Hour, now)
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
	if again, err := s.Sweep(ctx, 7*24*time.Hour, now); err != nil || again != (store.Swept{}) {
		t.Errorf("a second sweep dropped %+v, %v", again, err)
	}
}
