package app_test

import (
	"testing"
	"time"

	"muster/engine"
	"muster/query"
)

// A run of a slot took as long as its transaction did, also where the clock is a test's.
func TestRunsOfSlotsTakeTime(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 30, 0, 0, time.UTC)
	l := newLab(t, &now)
	l.define(t, engine.Definition{Key: "active", Kind: query.Audience, Query: "event('Seen').within(1 day).count() >= 1"})
	l.settle(t)
	l.ingest(t, now, "u1 Seen 1")
	now = time.Date(2026, 5, 4, 13, 0, 0, 0, time.UTC)
	began := time.Now()
	if _, err := l.app.Engine.RunSlot(t.Context(), engine.DefaultSchedule, now, now); err != nil {
		t.Fatal(err)
	}
	most := time.Since(began)
	var started time.Time
	var took time.Duration
	err := l.pool.QueryRow(t.Context(), `SELECT started_at, finished_at - started_at FROM inspect.runs WHERE kind = 'slot'`).Scan(&started, &took)
	if err != nil {
		t.Fatal(err)
	}
	if !started.Equal(now) || took <= 0 || took > most {
		t.Errorf("the run began at %v and took %v of %v", started, took, most)
	}
}
