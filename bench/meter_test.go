package main

import (
	"testing"
	"time"
)

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
