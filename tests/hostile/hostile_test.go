// Package hostile_test sends muster serve, the program as its users start it, thousands of
// requests that are wrong in every way that could be thought of, and checks that it answers
// each as it should, that its healthy neighbours are stored exactly once, and that nothing
// is left of it: no goroutine, no memory, no complaint in the log.
package hostile_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"muster/tests/served"
)

var (
	requests = flag.Int("requests", 10_000, "how many malformed requests are sent")
	seed     = flag.Uint64("seed", 0, "of the requests; 0: a new one, which is logged")
)

// Of the two sources one has nothing stored but what is healthy; what becomes of requests
// with random bytes changed is not known, so they go to the other.
const (
	spoiltKey  = "key-of-spoilt-requests"
	mutatedKey = "key-of-mutated-requests"
)

// configuration has a computation that every healthy call changes.
const configuration = `
sources:
  - {name: spoilt, write_key: ` + spoiltKey + `, rate: 1000000}
  - {name: mutated, write_key: ` + mutatedKey + `, rate: 1000000}
traits:
  - {name: Seen, query: "event('Seen').count()", include_anonymous: true}
`

const clientCount = 24

func TestHostileRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("sends thousands of requests")
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
	dir, err := served.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	log := &served.Lines{}
	muster, err := served.New(served.Options{
		Program: served.Program(t), Dir: dir, Config: configuration, Log: log,
		Env: []string{"GOGC=50"}, // so that the heap is close to what is in use
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := muster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if muster.Running() {
			_ = muster.Kill() // only when the test has failed already
		}
	}()

	crowd := newCrowd(muster.URL(), *seed)
	defer crowd.leave()
	// The first requests make what stays for good: pools, caches, statements.
	crowd.send(t, *requests/10)
	before := rest(t, muster)
	crowd.send(t, *requests-*requests/10)
	after := rest(t, muster)
	t.Logf("%d malformed requests, %d healthy neighbours; at rest before and after: %s; %s", crowd.sent, len(crowd.healthy), before, after)
	if after.goroutines > before.goroutines+clientCount/2 {
		t.Errorf("%d goroutines before, %d after", before.goroutines, after.goroutines)
	}
	if grown := after.heap - before.heap; grown > 24<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if after.files > before.files+clientCount/2 {
		t.Errorf("%d open files before, %d after", before.files, after.files)
	}

	checkStored(t, muster.Database(), crowd.healthy)
	if err := muster.Terminate(); err != nil {
		t.Error(err)
	}
	if bad := complaints(log); len(bad) > 0 {
		t.Errorf("%d complaints in the log, the first:\n%s", len(bad), bad[0])
	}
	if len(crowd.codes) < 20 {
		t.Errorf("only these answers came up: %v", crowd.codes)
	}
}

// send sends malformed requests, from all clients at a time, and stops at the first answer that is wrong.
func (c *crowd) send(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	first := c.sent
	for i := range clientCount {
		g.Go(func() error {
			for number := first + i; number < first+n; number += clientCount {
				if err := c.one(ctx, number); err != nil {
					return fmt.Errorf("request %d: %w", number, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	c.sent += n
	c.leave()
}

// checkStored holds what is stored of the spoilt source to the healthy calls.
func checkStored(t *testing.T, database string, healthy map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `
		SELECT e.message_id, count(*) FROM muster.events e JOIN muster.sources s USING (source_id)
		WHERE s.name = 'spoilt' GROUP BY e.message_id`)
	if err != nil {
		t.Fatal(err)
	}
	var missing, doubled, strange []string
	var id string
	var n int
	stored := make(map[string]bool)
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		stored[id] = true
		if n > 1 {
			doubled = append(doubled, id)
		}
		if !healthy[id] {
			strange = append(strange, id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range healthy {
		if !stored[id] {
			missing = append(missing, id)
		}
	}
	if len(missing)+len(doubled)+len(strange) > 0 || len(healthy) < *requests/2 {
		t.Errorf("%d healthy calls: missing are %.3q, stored twice %.3q; stored although refused are %.3q", len(healthy), missing, doubled, strange)
	}
	// The computation has seen them, once each.
	var counted, events int
	err = conn.QueryRow(ctx, `
		SELECT (SELECT sum(value::int) FROM muster.computed_values),
			(SELECT count(*) FROM muster.events JOIN muster.event_names n USING (event_name_id) WHERE n.name = 'Seen')`).Scan(&counted, &events)
	if err != nil || counted != events || counted < len(healthy) {
		t.Errorf("%d calls are counted, %d are stored (%v)", counted, events, err)
	}
}

// complaints are the lines that a healthy process does not write.
func complaints(log *served.Lines) []string {
	return slices.DeleteFunc(strings.Split(log.String(), "\n"), func(line string) bool {
		return !strings.Contains(line, "panic") && !strings.Contains(line, `"level":"ERROR"`)
	})
}

// dice are the random choices for one request, the same whatever the others do.
func dice(seed uint64, number int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(number))) }
