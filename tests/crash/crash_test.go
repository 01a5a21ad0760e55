package crash

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"muster/tests/served"
)

var (
	kills = flag.Int("kills", 3, "how often one and how often two processes are killed")
	seed  = flag.Uint64("seed", 0, "of what is drawn; 0: a new one, which is logged")
)

// options are those of a run in a folder of its own.
func options(t *testing.T, program string) Options {
	t.Helper()
	dir, err := served.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
			return
		}
		t.Logf("look at the database with: muster psql --data %s", filepath.Join(dir, "pg"))
	})
	o := Options{Program: program, Dir: dir, Processes: 1, Seed: *seed, Log: t.Output(), Progress: func(text string) { t.Log(text) }}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	t.Logf("-seed %d", o.Seed)
	return o
}

// TestKilled also breaks what each run has left, after it has been compared: a comparison that
// finds nothing must not be one that can find nothing.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for half a minute")
	}
	muster, err := served.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for processes := 1; processes <= 2; processes++ {
		t.Run(fmt.Sprintf("%d processes", processes), func(t *testing.T) {
			t.Parallel() // most of the time is waiting
			o := options(t, muster)
			o.Kills, o.Processes = *kills, processes
			run := newTrial(o)
			run.then = func(context.Context) error {
				report := run.report
				var text strings.Builder
				if err := report.Print(&text); err != nil {
					return err
				}
				t.Logf("\n%s", text.String())
				if len(report.Differences) > 0 {
					t.Errorf("%d differences", len(report.Differences)+report.More)
					return nil
				}
				return spoil(t, run)
			}
			if err := run.run(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// spoilt are changes of what is stored, each with a difference that has to be found. ANSWERED is
// the key of a call that was answered 200.
var spoilt = []struct{ sql, difference string }{
	{`DELETE FROM muster.message_keys WHERE key = 'ANSWERED'`, "was answered 200, and of its"},
	{`INSERT INTO muster.message_keys (key, received_on) SELECT md5('x' || n)::uuid, received_on
		FROM (SELECT max(received_on) AS received_on FROM muster.message_keys) d, generate_series(1, 2) n`, "message ids are taken that were never sent"},
	{`DELETE FROM muster.events WHERE seq = (SELECT min(seq) FROM muster.events)`, "is 0 times in the event log"},
	{`INSERT INTO muster.events SELECT bucket, profile_id, event_name_id, ts, seq + 1000000, source_id, received_at, message_id, properties, context
		FROM muster.events WHERE seq = (SELECT max(seq) FROM muster.events)`, "is 2 times in the event log"},
	{`UPDATE muster.events SET message_id = 'nobody' WHERE seq = (SELECT seq FROM muster.events ORDER BY seq OFFSET 1 LIMIT 1)`, `the event "nobody" is stored`},
	{`DELETE FROM muster.external_ids WHERE ctid = (SELECT min(ctid) FROM muster.external_ids WHERE id_type = 'email')`, "is of no profile"},
	{`UPDATE muster.traits SET value = '"spoilt"' WHERE key = 'level'`, `has the level "spoilt"`},
	{`DELETE FROM muster.account_members WHERE ctid = (SELECT min(ctid) FROM muster.account_members)`, "is no member of"},
	{`UPDATE muster.computed_values SET value = '77' WHERE ctid = (SELECT min(ctid) FROM muster.computed_values
		WHERE computation_id = (SELECT computation_id FROM muster.computations WHERE key = 'orders'))`, "orders, computed are 77"},
	{`UPDATE muster.ledger SET told = told + 1 WHERE ctid = (SELECT min(ctid) FROM muster.ledger)`, "the ledger says"},
	{`UPDATE muster.queue SET told = told + 1 WHERE seq = (SELECT max(seq) FROM muster.queue WHERE form = 'identify' AND connection_id <> 0)`, "are not numbered as they should be"},
	{`DELETE FROM muster.queue WHERE seq = (SELECT max(seq) FROM muster.queue WHERE form = 'track' AND connection_id <> 0)`, "counts an event too many"},
	{`INSERT INTO muster.dead_letters (destination_id, lane, seq, kind, code, reason, connection_id, bucket, profile_id, form, ids, value, told, at, reason_told, attempts, died_at)
		SELECT destination_id, lane, seq, 'rejected', 'x', 'spoilt', connection_id, bucket, profile_id, form, ids, value, told, at, reason, 1, at
		FROM muster.queue WHERE connection_id <> 0 LIMIT 1`, "dead letter, rejected: spoilt"},
}

// spoil breaks what a run has left, and tells which of it a comparison does not find.
func spoil(t *testing.T, run *trial) error {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, run.system.database())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	answered := slices.IndexFunc(run.requests, func(q *request) bool { return q.answered })
	if answered < 0 {
		return errors.New("nothing was answered 200")
	}
	sum := sha256.Sum256([]byte(run.requests[answered].calls[0].id))
	for _, s := range spoilt {
		s.sql = strings.Replace(s.sql, "ANSWERED", uuid.UUID(sum[:16]).String(), 1)
		if tag, err := conn.Exec(ctx, s.sql); err != nil || tag.RowsAffected() == 0 {
			return fmt.Errorf("%s: %d rows, %w", s.sql, tag.RowsAffected(), err)
		}
	}
	run.report = &Report{unlimited: true}
	if err := run.compare(ctx); err != nil {
		return err
	}
	found := run.report.Differences
	for _, s := range append(spoilt, struct{ sql, difference string }{"all of it", "muster verify finds"}) {
		if !slices.ContainsFunc(found, func(d string) bool { return strings.Contains(d, s.difference) }) {
			t.Errorf("not found: %s\nafter %s\namong %s", s.difference, s.sql, strings.Join(found, "\n"))
		}
	}
	return nil
}
