package web_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muster/engine"
	"muster/web"
)

var present = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type inspector struct {
	snap web.Snapshot
	err  error
}

func (i inspector) Snapshot(context.Context) (web.Snapshot, error) { return i.snap, i.err }

func scrape(t *testing.T, m *web.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != 200 {
		t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func TestMetrics(t *testing.T) {
	m := web.NewMetrics(inspector{snap: web.Snapshot{
		Computations: []web.ComputationState{
			{Key: "active_7d", Kind: "audience", Status: "live", AsOf: present.Add(-90 * time.Minute), Due: present.Add(-30 * time.Minute), Failing: 3},
			{Key: "on_time", Kind: "audience", Status: "live", AsOf: present.Add(-30 * time.Minute), Due: present.Add(30 * time.Minute)},
			{Key: "ltv", Kind: "trait", Status: "live"},
		},
		Destinations: []web.DestinationState{{Name: "mp", Waiting: 7, Oldest: present.Add(-time.Minute), Halted: true, Failing: 4, DeadLetters: map[string]int64{"rejected": 2, web.DeadSuppressed: 6}}},
		Backfill:     &web.BackfillState{Done: 5, Total: 10},
		Connections:  web.PoolState{InUse: 1, Idle: 2, Max: 4, Waits: 8, Waited: 1500 * time.Millisecond},
		Storage:      []web.TableState{{Name: "events", Rows: 100, Bytes: 4096}},
	}}, func() time.Time { return present })
	m.Counted("mp", engine.Rejected, "invalid_time", 4)
	m.Received("web", "accepted", 9)
	m.Warned("mp", "future_time", 0)
	m.Warned("mp", "truncated_text", 2)
	m.Answered("rate_limited")
	m.NotShown(12)
	m.Slot("0 * * * *", 200*time.Millisecond, 3*time.Second)
	m.Built("v1.2.3", "abc", "go1.26")
	got := scrape(t, m)
	for _, want := range []string{
		`muster_database_up 1`,
		`muster_computation_info{key="active_7d",kind="audience",status="live"} 1`,
		`muster_computation_age_seconds{key="active_7d"} 5400`,
		`muster_computation_failed_attempts{key="active_7d"} 3`,
		`muster_queue_waiting{destination="mp"} 7`,
		`muster_queue_oldest_seconds{destination="mp"} 60`,
		`muster_destination_stopped{destination="mp",why="refused"} 1`,
		`muster_destination_stopped{destination="mp",why="paused"} 0`,
		`muster_dead_letters{destination="mp",kind="rejected"} 2`,
		`muster_dead_letters{destination="mp",kind="uncertain"} 0`,
		`muster_dead_letters{destination="mp",kind="suppressed"} 6`,
		`muster_queue_failing_lanes{destination="mp"} 4`,
		`muster_computation_late_seconds{key="active_7d"} 1800`,
		`muster_computation_late_seconds{key="on_time"} 0`,
		`muster_database_waits_total 8`,
		`muster_database_wait_seconds_total 1.5`,
		`muster_storage_rows{table="events"} 100`,
		`muster_storage_bytes{table="events"} 4096`,
		`muster_build_info{go="go1.26",revision="abc",version="v1.2.3"} 1`,
		`muster_slot_delay_seconds_sum{schedule="0 * * * *"} 3`,
		`muster_backfill_profiles{state="done"} 5`,
		`muster_database_connections{state="max"} 4`,
		`muster_messages_total{code="invalid_time",destination="mp",verdict="rejected"} 4`,
		`muster_calls_total{outcome="accepted",source="web"} 9`,
		`muster_warnings_total{destination="mp",warning="truncated_text"} 2`,
		`muster_warnings_total{destination="mp",warning="future_time"} 0`,
		`muster_requests_total{code="rate_limited"} 1`,
		`muster_debugger_dropped_total 12`,
		`muster_slot_seconds_count{schedule="0 * * * *"} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(got, `muster_computation_age_seconds{key="ltv"}`) {
		t.Error("a realtime trait has no age")
	}
}

// A database that does not answer must be seen, and must not hide what this process knows.
func TestMetricsWithoutDatabase(t *testing.T) {
	m := web.NewMetrics(inspector{err: errors.New("down")}, func() time.Time { return present })
	m.Counted("mp", engine.Delivered, "", 1)
	got := scrape(t, m)
	if !strings.Contains(got, "muster_database_up 0\n") || !strings.Contains(got, "muster_messages_total") {
		t.Errorf("got %s", got)
	}
}
