package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/tests/served"
)

// vitals are what is looked at in a soak, at one instant or since the look before.
type vitals struct {
	Minute          float64            `json:"minute"` // since the soak began
	EventsPerSecond float64            `json:"events_per_second"`
	P50             float64            `json:"p50_ms"` // from when a request is due to its answer
	P99             float64            `json:"p99_ms"`
	Longest         float64            `json:"longest_ms"`
	SentAgain       int64              `json:"sent_again"` // since the beginning
	Waiting         float64            `json:"waiting"`    // messages in the queue
	OldestSeconds   float64            `json:"oldest_seconds"`
	MusterMemory    float64            `json:"muster_memory_bytes"` // anonymous memory of the process; 0 where it is not known
	MusterCores     float64            `json:"muster_cores"`
	PostgreSQLCores float64            `json:"postgresql_cores"`
	Connections     int                `json:"connections"`
	DeadRows        int64              `json:"dead_rows"`
	Tables          map[string]storage `json:"tables"` // by the part of the product that they serve
}

// storage is what tables take, their partitions included.
type storage struct {
	Rows    int64   `json:"rows"`
	Heap    float64 `json:"heap_bytes"`
	Indexes float64 `json:"index_bytes"`
}

func (s storage) bytes() float64 { return s.Heap + s.Indexes }

// bytes is what all tables take.
func (v vitals) bytes() (all float64) {
	for _, s := range v.Tables {
		all += s.bytes()
	}
	return all
}

// parts are what tables are counted together as: those that grow with the events, those
// that grow with the people and the definitions, and those that are to stay small.
var parts = []struct {
	name, about string
	tables      []string
}{
	{"event log", "one row for each event, kept as long as retention says", []string{"events", "kept_events"}},
	{"message ids", "one key for each event, kept for the dedup window", []string{"message_keys"}},
	{"history", "one row for each change of a value and one for each message", []string{"value_changes", "queue"}},
	{"people", "profiles, ids and traits", []string{"profiles", "external_ids", "id_owners", "traits", "profile_merges", "identity_violations"}},
	{"computed", "states, values and what was told last", []string{"leaf_states", "overflows", "computed_values", "due_evaluations", "ledger"}},
}

// rest is the name of the part of all other tables.
const rest = "all else"

// readVitals reads what muster and the database tell about themselves.
func readVitals(ctx context.Context, muster *served.Server, conn *pgx.Conn) (v vitals, err error) {
	v.MusterMemory = memory(muster.PID())
	metrics, err := readMetrics(ctx, muster.URL()+"/metrics")
	if err != nil {
		return v, err
	}
	v.Waiting, v.OldestSeconds = metrics[`muster_queue_waiting{destination="mixpanel"}`], metrics[`muster_queue_oldest_seconds{destination="mixpanel"}`]
	err = conn.QueryRow(ctx, `
		SELECT (SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables),
		       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`).Scan(&v.DeadRows, &v.Connections)
	if err != nil {
		return v, err
	}
	v.Tables, err = readStorage(ctx, conn)
	return v, err
}

// readStorage is what the tables take, by part. The rows are PostgreSQL's estimate.
func readStorage(ctx context.Context, conn *pgx.Conn) (map[string]storage, error) {
	part := make(map[string]string)
	for _, p := range parts {
		for _, t := range p.tables {
			part[t] = p.name
		}
	}
	rows, err := conn.Query(ctx, `
		SELECT coalesce(r.relname, c.relname), sum(coalesce(s.n_live_tup, 0))::bigint, sum(pg_table_size(c.oid))::float8, sum(pg_indexes_size(c.oid))::float8
		FROM pg_class c
		LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid)
		LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
		WHERE c.relnamespace = 'muster'::regnamespace AND c.relkind = 'r'
		GROUP BY 1`)
	if err != nil {
		return nil, err
	}
	found := make(map[string]storage)
	var name string
	var one storage
	_, err = pgx.ForEachRow(rows, []any{&name, &one.Rows, &one.Heap, &one.Indexes}, func() error {
		p, known := part[name]
		if !known {
			p = rest
		}
		sum := found[p]
		found[p] = storage{sum.Rows + one.Rows, sum.Heap + one.Heap, sum.Indexes + one.Indexes}
		return nil
	})
	return found, err
}

// readMetrics reads a page of metrics: name and labels, as they stand there, with the value.
func readMetrics(ctx context.Context, url string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s was answered %s", url, answer.Status)
	}
	found := make(map[string]float64)
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, ok := cutLast(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = n
		}
	}
	return found, lines.Err()
}

// cutLast is strings.Cut around the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}
