package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"muster/mixpanel/mixpaneltest"
)

// output collects what a running command prints, line by line of JSON for its log.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// eventually waits until a condition holds, a minute at most.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// attribute is the value of an attribute in the log line with a message, "" if there is none.
func (o *output) attribute(message, name string) string {
	for line := range strings.Lines(o.String()) {
		var attributes map[string]any
		if json.Unmarshal([]byte(line), &attributes) == nil && attributes["msg"] == message {
			return fmt.Sprint(attributes[name])
		}
	}
	return ""
}

// running is a command that runs in this process until it is stopped.
type running struct {
	err  output
	stop context.CancelFunc
	done chan int // its exit code
}

// background runs a command in this process, with variables of the environment.
func background(t *testing.T, variables map[string]string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{stop: cancel, done: make(chan int, 1)}
	env := &environment{
		in: strings.NewReader(""), out: &r.err, err: &r.err, now: time.Now,
		lookup: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
	}
	go func() { r.done <- run(ctx, env, args) }()
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("muster %s:\n%s", strings.Join(args, " "), r.err.String())
		}
	})
	return r
}

// serving waits until muster serve serves, and returns its address.
func (r *running) serving(t *testing.T) string {
	t.Helper()
	address := ""
	eventually(t, "muster serve serves", func() bool {
		select {
		case code := <-r.done:
			t.Fatalf("it ended with %d", code)
		default:
		}
		address = r.err.attribute("serving", "listen")
		return address != ""
	})
	return "http://" + address
}

// wait stops the command and returns its exit code.
func (r *running) wait(t *testing.T) int {
	t.Helper()
	r.stop()
	select {
	case code := <-r.done:
		return code
	case <-time.After(30 * time.Second):
		t.Fatal("it does not stop")
		return -1
	}
}

// writeFile writes a file into a temporary folder of the test.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// get is the status and the text of an answer.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text.String()
}

// database connects to a database for looking into it.
func database(t *testing.T, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// one is the single value that a statement gives.
func one[T any](t *testing.T, pool *pgxpool.Pool, sql string, args ...any) (v T) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// waiting is how many messages have not been told yet.
const waiting = `SELECT count(*) FROM muster.queue q LEFT JOIN muster.queue_positions p USING (destination_id, lane) WHERE q.seq > coalesce(p.seq, 0)`

// compare holds what Mixpanel was told against what the database says: the value of
// each id, and that each change was told once. It returns how many values there are.
func compare(t *testing.T, pool *pgxpool.Pool, fake *mixpaneltest.Server) (compared int) {
	t.Helper()
	want := make(map[string]map[string]any) // by key and id
	rows, err := pool.Query(t.Context(), `
		SELECT c.key, e.id_value, v.value::text
		FROM muster.computed_values v
		JOIN muster.computations c USING (computation_id)
		JOIN muster.external_ids e ON e.bucket = v.bucket AND e.profile_id = v.profile_id AND e.id_type = 'user_id'`)
	if err != nil {
		t.Fatal(err)
	}
	var key, id, text string
	_, err = pgx.ForEachRow(rows, []any{&key, &id, &text}, func() error {
		var value any
		if want[key] == nil {
			want[key] = make(map[string]any)
		}
		err := json.Unmarshal([]byte(text), &value)
		want[key][id] = value
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, values := range want {
		have := make(map[string]any)
		if one[string](t, pool, `SELECT emit FROM muster.connections JOIN muster.computations USING (computation_id) WHERE key = $1`, key) == "track" {
			told := one[int](t, pool, `SELECT sum(told) FROM inspect.told WHERE key = $1`, key)
			count := 0
			for _, e := range fake.Events(testToken, mixpaneltest.Deduped) {
				if value, about := e.Properties[key]; about {
					have[e.DistinctID] = value
					count++
				}
			}
			if count != told {
				t.Errorf("%s: Mixpanel counts %d events, and %d changes were to be told", key, count, told)
			}
		} else {
			have = fake.AllProfileValues(testToken, key)
		}
		wrong := 0
		for id, value := range values {
			if !reflect.DeepEqual(have[id], value) {
				if wrong++; wrong <= 3 {
					t.Errorf("%s of %s: Mixpanel has %v, the database %v", key, id, have[id], value)
				}
			}
		}
		if len(have) != len(values) {
			t.Errorf("%s: Mixpanel has values of %d ids, the database of %d", key, len(have), len(values))
		}
		compared += len(values)
	}
	if letters := one[int](t, pool, `SELECT count(*) FROM inspect.dead_letters`); letters != 0 {
		t.Errorf("%d dead letters", letters)
	}
	return compared
}

// psqlAddress finds the address of the database in a command line for psql.
var psqlAddress = regexp.MustCompile(`'(postgres://[^']+)'`)
