package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5/pgxpool"

	"muster/deliver"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/internal/pgtest"
	"muster/query"
	"muster/store"
)

var queueStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// queueOf is a queue with a destination mp and an audience that it is told.
func queueOf(t *testing.T) (*store.Store, *pgxpool.Pool, *engine.Connection) {
	t.Helper()
	pool := pgtest.New(t)
	s := store.New(pool)
	ctx := t.Context()
	if err := s.EnsureDestinations(ctx, map[string]string{"mp": "mixpanel"}, queueStart); err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(ctx, nil, []time.Time{queueStart}); err != nil {
		t.Fatal(err)
	}
	rules, err := identity.DefaultSettings().Compile()
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(s, rules)
	def := engine.Definition{
		Key: "buyers", Name: "Buyers", Kind: query.Audience, Query: "event('Order').count() >= 1",
		Connections: []engine.ConnectionDefinition{{Destination: "mp"}},
	}
	refused, err := e.Define(ctx, []engine.Definition{def}, queueStart)
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	c, err := e.Catalog(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return s, pool, c.Computations[0].Connections[0]
}

// enqueue queues that each of the users has entered.
func enqueue(t *testing.T, s *store.Store, c *engine.Connection, users ...string) {
	t.Helper()
	p := &engine.Profile{}
	for i, u := range users {
		p.Messages = append(p.Messages, engine.Message{
			Connection: c, ProfileID: int64(i + 1), Bucket: engine.ProfileBucket(int64(i + 1)), Form: engine.FormIdentify,
			IDs: identity.Combination{UserID: u}, Value: query.Bool(true), Times: 1, At: queueStart, Reason: engine.ReasonEntered,
		})
	}
	err := s.Transact(t.Context(), func(tx engine.Tx) error { return tx.Enqueue(t.Context(), []*engine.Profile{p}, queueStart) })
	if err != nil {
		t.Fatal(err)
	}
}

func claim(owner string, renew bool) deliver.Claim {
	return deliver.Claim{Owner: owner, Destinations: []string{"mp"}, Now: queueStart, TTL: 10 * time.Second, RenewOnly: renew}
}

// A lane that its holder is just committing is renewed all the same, and nobody who
// looks for free lanes waits for one that is being taken.
func TestRenewingWaitsForCommits(t *testing.T) {
	s, pool, _ := queueOf(t)
	ctx := t.Context()
	q := s.Queue()
	defer q.Close()
	leases, err := q.Acquire(ctx, claim("one", false))
	if err != nil || len(leases) != engine.Lanes {
		t.Fatalf("%d lanes, %v", len(leases), err)
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(ctx, `UPDATE queue_positions SET seq = 7 WHERE lane = 3`); err != nil {
		t.Fatal(err)
	}
	if others, err := q.Acquire(ctx, claim("two", false)); err != nil || len(others) != 0 {
		t.Fatalf("another process takes %d lanes that are held, %v", len(others), err)
	}
	renewed := make(chan int)
	go func() {
		again, err := q.Acquire(ctx, claim("one", true))
		if err != nil {
			t.Error(err)
		}
		renewed <- len(again)
	}()
	for waits := 0; waits == 0; {
		err := pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case n := <-renewed:
			t.Fatalf("renewed %d lanes without waiting for the commit", n)
		default:
		}
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if n := <-renewed; n != engine.Lanes {
		t.Errorf("renewed %d lanes of %d", n, engine.Lanes)
	}
}

// Each kind of dead letter is listed as what it is, and all but those that have nobody
// to go to are queued again with their ids and times.
func TestDeadLettersByKind(t *testing.T) {
	s, pool, c := queueOf(t)
	ctx := t.Context()
	users := []string{"a", "b", "c", "d"}
	enqueue(t, s, c, users...)
	p := &engine.Profile{Messages: []engine.Message{{Connection: c, ProfileID: 9, Form: engine.FormIdentify, Value: query.Bool(true), At: queueStart, Reason: engine.ReasonEntered, Undeliverable: "no id"}}}
	if err := s.Transact(ctx, func(tx engine.Tx) error { return tx.Enqueue(ctx, []*engine.Profile{p}, queueStart) }); err != nil {
		t.Fatal(err)
	}
	q := s.Queue()
	defer q.Close()
	leases, err := q.Acquire(ctx, claim("one", false))
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]string) // message id by carrier
	for _, l := range leases {
		entries, err := q.Read(ctx, l.Lane, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		progress := deliver.Progress{At: queueStart}
		for _, e := range entries {
			told[e.Carrier] = e.Call.MessageID
			progress.State.Position = e.Seq
			letter := deliver.Letter{Entry: e, Code: "refused", Reason: "because", Attempts: 1}
			switch e.Carrier {
			case "a":
				progress.Dead = append(progress.Dead, letter)
			case "b":
				letter.Code = deliver.CodeGaveUp
				progress.Dead = append(progress.Dead, letter)
			case "c":
				progress.Uncertain = append(progress.Uncertain, letter)
			}
		}
		if err := q.Commit(ctx, l, progress); err != nil {
			t.Fatal(err)
		}
	}
	letters, err := s.DeadLetters(ctx, store.LetterFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range letters {
		got = append(got, l.Kind+" "+l.IDs)
		if user, ok := strings.CutPrefix(l.IDs, "user:"); !ok && l.Call != nil || ok && (l.Call == nil || l.Call.MessageID != told[user]) {
			t.Errorf("the sample of %s is %+v", l.IDs, l.Call)
		}
		if l.Call == nil {
			continue
		}
		text, err := json.Marshal(l.Call)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := event.Decode(text, event.Envelope{ReceivedAt: queueStart}); err != nil {
			t.Errorf("the sample %s is no call: %v", text, err)
		}
	}
	slices.Sort(got)
	if want := []string{"gave_up user:b", "rejected user:a", "uncertain user:c", "undeliverable "}; !slices.Equal(got, want) {
		t.Fatalf("dead letters %q, want %q", got, want)
	}
	// a was told something newer, with an email that it had not got yet; for c is told that a
	// user with a similar name was.
	_, err = pool.Exec(ctx, `
		INSERT INTO ledger (bucket, profile_id, connection_id, ids, value, told, told_at)
		SELECT bucket, profile_id, connection_id, ids, value, told, at FROM queue
		UNION ALL
		SELECT bucket, profile_id, connection_id, ids || CASE ids WHEN 'user:c' THEN '\|x' ELSE '' END || '|email:e@example.com', value, 1, at + interval '1 ms' FROM queue
		WHERE ids IN ('user:a', 'user:c')`)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		filter store.LetterFilter
		want   store.Retried
	}{
		{store.LetterFilter{Kind: store.KindGaveUp}, store.Retried{Queued: 1}},
		{store.LetterFilter{Kind: store.KindGaveUp}, store.Retried{}},
		{store.LetterFilter{}, store.Retried{Queued: 1, Superseded: 1}}, // the undeliverable one stays
	} {
		if got, err := s.RetryDeadLetters(ctx, step.filter, queueStart); err != nil || got != step.want {
			t.Errorf("retrying %+v: %+v, want %+v, %v", step.filter, got, step.want, err)
		}
	}
	var again []string
	for _, l := range leases {
		var position int64
		for page := 0; ; page++ {
			entries, err := q.Read(ctx, l.Lane, position, 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				position = e.Seq
				if e.Call.MessageID != told[e.Carrier] || !e.Call.Timestamp.Equal(queueStart) {
					t.Errorf("%s is retried as another message", e.Carrier)
				}
				again = append(again, e.Carrier)
			}
		}
	}
	slices.Sort(again)
	if fmt.Sprint(again) != "[a b b c c d]" {
		t.Errorf("the queue holds %v", again)
	}
}

// Whoever has all tables analysed while the queue is empty does not make it slow.
func TestQueueAnalysedWhileEmpty(t *testing.T) {
	s, pool, c := queueOf(t)
	ctx := t.Context()
	thoughtEmpty := func() (empty bool) {
		if err := pool.QueryRow(ctx, `SELECT relpages = 0 AND reltuples = 0 FROM pg_class WHERE oid = 'muster.queue_0'::regclass`).Scan(&empty); err != nil {
			t.Fatal(err)
		}
		return empty
	}
	if _, err := pool.Exec(ctx, `ANALYZE queue`); err != nil {
		t.Fatal(err)
	}
	users := make([]string, 1500)
	for i := range users {
		users[i] = fmt.Sprint("u", i)
	}
	if !thoughtEmpty() {
		t.Fatal("PostgreSQL does not think that the queue is empty")
	}
	enqueue(t, s, c, users...)
	if err := s.Prepare(ctx, nil, []time.Time{queueStart}); err != nil {
		t.Fatal(err)
	}
	if thoughtEmpty() {
		t.Error("PostgreSQL still thinks that the queue is empty")
	}
}
