package app_test

import (
	"strings"
	"testing"
	"time"

	"muster/engine"
	"muster/query"
)

// With refresh: realtime a definition with a window lets people in when their call comes;
// the slots let them out, and one that runs late does not undo what was decided after its
// instant.
func TestRefreshRealtime(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{
		Key: "keen", Kind: query.Audience, Query: "event('Seen').within(2 hours).count() >= 2", Refresh: engine.RefreshRealtime,
	}, engine.Definition{
		Key: "patient", Kind: query.Audience, Query: "event('Seen').within(2 hours).count() >= 2",
	})
	l.settle(t)
	expect := func(what, want string) {
		t.Helper()
		if got := members(t, l); got != want {
			t.Errorf("%s: members are %q, want %q", what, got, want)
		}
	}
	now = now.Add(10 * time.Minute)
	l.ingest(t, now, "u1 Seen 1")
	expect("one call is not enough", "")
	now = now.Add(10 * time.Minute)
	l.ingest(t, now, "u1 Seen 1")
	expect("the second lets in at once", "keen")

	if _, err := l.app.Engine.RunSlot(t.Context(), engine.DefaultSchedule, now.Truncate(time.Hour), now); err != nil {
		t.Fatal(err)
	}
	expect("a slot of before the calls changes nothing", "keen")

	now = time.Date(2026, 5, 4, 13, 0, 0, 0, time.UTC)
	l.settle(t)
	expect("the slot lets those in who wait for it", "keen patient")

	now = now.Add(75 * time.Minute)
	expect("time alone changes nothing between slots", "keen patient")
	l.ingest(t, now, "u1 Left 1")
	expect("nor does another event", "keen patient")

	now = time.Date(2026, 5, 4, 15, 0, 0, 0, time.UTC)
	l.settle(t)
	expect("the slot lets out", "")
	if found := l.verify(t, engine.VerifyOptions{}); len(found) > 0 {
		t.Errorf("verify: %v", found)
	}
}

// What a call did to a part without a window shows at the next slot, even if by then the
// part with a window, which hid it when the call came, has been entered and left again.
func TestRefreshRealtimeOfMixedParts(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{
		Key: "undecided", Kind: query.Audience, Refresh: engine.RefreshRealtime,
		Query: "event('Bought').count() >= 1 AND event('Seen').within(30 minutes).count() = 0",
	})
	l.settle(t)
	now = now.Add(10 * time.Minute)
	l.ingest(t, now, "u1 Seen 1")
	now = now.Add(10 * time.Minute)
	l.ingest(t, now, "u1 Bought 1")
	if got := members(t, l); got != "" {
		t.Errorf("members are %q when the window hides them", got)
	}
	if found := l.verify(t, engine.VerifyOptions{}); len(found) > 0 {
		t.Errorf("verify: %v", found)
	}
	now = time.Date(2026, 5, 4, 13, 0, 0, 0, time.UTC)
	l.settle(t)
	if got := members(t, l); got != "undecided" {
		t.Errorf("members are %q at the next slot, want undecided", got)
	}
}

// members are the audiences that u1 is in.
func members(t *testing.T, l *lab) string {
	t.Helper()
	rows, err := l.pool.Query(t.Context(), `SELECT key FROM inspect.members ORDER BY key`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}
