package main

import (
	"testing"
	"time"
)

func TestTimesTheBaseline(t *testing.T) {
	for _, c := range []struct {
		line Line
		want float64
	}{
		{Line{Value: 10, Against: 720, Unit: "ms"}, 72},       // a tenth of the time: faster
		{Line{Value: 20, Against: 100, Unit: "calls/s"}, 0.2}, // a fifth of the rate: slower
		{Line{Value: 500, Against: 250, Unit: "B/event"}, 2},  // twice as much
		{Line{Value: 500, Unit: "B/event"}, 0},                // nothing to compare with
		{Line{Value: 0, Against: 3, Unit: "% of a core"}, 0},  // nothing measured
		{Line{Value: 3, Against: 1, Unit: "us/call"}, 3},      // per thing, not a time
		{Line{Value: 2.5, Against: 5, Unit: "s"}, 2},          // half the time
	} {
		var r Report
		r.add(c.line)
		if got := r.Lines[0].Speed; got != c.want {
			t.Errorf("%+v: %v, want %v", c.line, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0", 0.0123: "0.012", 7.25: "7.2", 99.96: "100.0", 1234: "1,234", 20_000_000: "20,000,000"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestMedian(t *testing.T) {
	ms := time.Millisecond
	if got := median([]time.Duration{9 * ms, 1 * ms, 5 * ms}); got != 5 {
		t.Error(got)
	}
	if got := median([]time.Duration{4 * ms, 1 * ms, 9 * ms, 2 * ms}); got != 3 {
		t.Error(got)
	}
}

func TestLabel(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT pg_advisory_xact_lock($1)":                                                                      "select pg_advisory_xact_lock",
		"\n\tSELECT o.id FROM unnest($1::int[]) AS w (b)\n\tJOIN id_owners o USING (b)":                         "select id_owners",
		"INSERT INTO leaf_states SELECT * FROM unnest($1::int[])\nON CONFLICT (a) DO UPDATE SET n = excluded.n": "insert leaf_states",
		"WITH gone AS (DELETE FROM traits x RETURNING 1) INSERT INTO traits SELECT * FROM gone":                 "insert traits",
		"UPDATE leaves l SET cut = 1":                                                                           "update leaves",
		"commit":                                                                                                "commit",
	} {
		if got := label(sql); got != want {
			t.Errorf("label(%q) = %q, want %q", sql, got, want)
		}
	}
}

func TestWithDatabase(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u:p@h:5432/a?sslmode=disable&dbname=x": "postgres://u:p@h:5432/b?sslmode=disable",
		"host=/tmp user=u dbname=a":                        "host=/tmp user=u dbname=a dbname=b",
	} {
		if got, err := withDatabase(dsn, "b"); err != nil || got != want {
			t.Errorf("withDatabase(%q) = %q, %v; want %q", dsn, got, err, want)
		}
	}
}
