package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/app"
	"muster/demo"
	"muster/engine"
	"muster/identity"
	"muster/internal/pgtest"
	"muster/store"
)

// explainAll, if set in the environment, explains every profile instead of a sample.
const explainAll = "MUSTER_EXPLAIN_ALL"

// shop is the demo's shop after ten months and three days of calls, in the middle of an
// hour: some of the calls are newer than the last slot.
func shop(t *testing.T) (*store.Store, time.Time) {
	t.Helper()
	log, err := readShopLog(bytes.NewReader(demo.Log))
	if err != nil {
		t.Fatal(err)
	}
	now := liveFrom
	s := store.New(pgtest.New(t))
	a, err := app.New(t.Context(), app.Options{Store: s, Identity: identity.DefaultSettings(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	source, err := s.EnsureSource(t.Context(), "shop", now)
	if err != nil {
		t.Fatal(err)
	}
	ingest := func(calls []engine.Received) {
		for len(calls) > 0 {
			n := min(len(calls), 2000)
			for i := range calls[:n] {
				calls[i].SourceID, calls[i].Source = source.ID, source.Name
			}
			if _, err := a.Engine.Ingest(t.Context(), calls[:n], now); err != nil {
				t.Fatal(err)
			}
			calls = calls[n:]
		}
	}
	definitions := demoDefinitions()
	for i := range definitions {
		definitions[i].Connections = nil
	}
	ingest(log.before(liveFrom))
	refused, err := a.Define(t.Context(), definitions)
	if err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	for end := liveFrom.AddDate(0, 0, 3); now.Before(end); {
		from := now
		now = now.Add(time.Hour)
		ingest(log.between(from, now))
		if err := a.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	from := now
	for now.Equal(from) || len(log.between(from, now)) < 5 {
		now = now.Add(10 * time.Minute)
	}
	ingest(log.between(from, now))
	return s, now
}

// The log of a real shop, looked at in every way.
func TestLookingAtAShop(t *testing.T) {
	if testing.Short() {
		t.Skip("loads the demo's log")
	}
	s, now := shop(t)
	t.Run("explain", func(t *testing.T) { explainIsWhatIsStored(t, s, now) })
	t.Run("preview", func(t *testing.T) { previewIsWhatIsStored(t, s, now) })
	t.Run("commands", func(t *testing.T) { commandsShowWhatIsStored(t, s, now) })
}

// explainIsWhatIsStored explains every audience and trait of some of the profiles.
func explainIsWhatIsStored(t *testing.T, s *store.Store, now time.Time) {
	share := `profile_id % 16 = 3`
	if os.Getenv(explainAll) != "" {
		share = `true`
	}
	rows, err := s.Pool().Query(t.Context(), `SELECT DISTINCT ON (profile_id) id_type, id_value, profile_id FROM external_ids WHERE `+share+` ORDER BY profile_id, id_type, id_value`)
	if err != nil {
		t.Fatal(err)
	}
	var people []identity.ID
	var profiles []int64
	for rows.Next() {
		var id identity.ID
		var profile int64
		if err := rows.Scan(&id.Type, &id.Value, &profile); err != nil {
			t.Fatal(err)
		}
		people, profiles = append(people, id), append(profiles, profile)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	stored := make(map[int64]map[string]string)
	rows, err = s.Pool().Query(t.Context(), `SELECT v.profile_id, c.key, v.value::text FROM computed_values v JOIN computations c USING (computation_id)`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var profile int64
		var key, value string
		if err := rows.Scan(&profile, &key, &value); err != nil {
			t.Fatal(err)
		}
		if stored[profile] == nil {
			stored[profile] = make(map[string]string)
		}
		stored[profile][key] = value
	}
	explained, held, waiting := 0, 0, 0
	for n, id := range people {
		for _, def := range demoDefinitions() {
			key := engine.KeyFromName(def.Name)
			x, err := app.Explain(t.Context(), s, key, id, time.Time{}, now)
			if err != nil {
				t.Fatal(err)
			}
			explained++
			if x.ProfileID != profiles[n] {
				t.Fatalf("%s is profile %d, not %d", id, profiles[n], x.ProfileID)
			}
			if want, ok := stored[x.ProfileID][key]; ok != (x.Held != nil) || ok && x.Held.Value.String() != want {
				t.Errorf("%s of %s: %v is said to be stored, it is %q", key, id, x.Held, want)
			}
			if x.Held != nil {
				held++
			}
			if x.Waiting {
				waiting++
			}
			if x.Contradicts() {
				t.Errorf("%s of %s: stored is %v, explained\n%s", key, id, x.Value(), x.Tree.Render())
			}
		}
	}
	t.Logf("%d values explained, of %d profiles: %d held, %d wait for their slot", explained, len(people), held, waiting)
	if explained < 2000 || held < 300 {
		t.Errorf("too little was explained")
	}
}

// previewIsWhatIsStored previews what is computed already.
func previewIsWhatIsStored(t *testing.T, s *store.Store, now time.Time) {
	for _, def := range demoDefinitions() {
		key := engine.KeyFromName(def.Name)
		// A new definition gives no 0 to those who had something to be counted once.
		var stored int64
		err := s.Pool().QueryRow(t.Context(), `SELECT count(*) FROM computed_values v JOIN computations c USING (computation_id)
			WHERE c.key = $1 AND v.value NOT IN ('false', 'null', '0')`, key).Scan(&stored)
		if err != nil {
			t.Fatal(err)
		}
		def.Name, def.Key, def.Connections = "", "unsaved", nil
		p, err := app.Preview(t.Context(), s, def, engine.DryRun{}, 0, now)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Complete() || p.After != stored || p.Before != 0 || p.Entered != p.After {
			t.Errorf("%s: %+v of %+v, but %d are stored", key, p.Effect, p.Looked, stored)
		}
		part, err := app.Preview(t.Context(), s, def, engine.DryRun{Profiles: 2000}, 0, now)
		if err != nil {
			t.Fatal(err)
		}
		// 2,000 of 6,600: within a tenth of the whole, three deviations of a fair half.
		if off := float64(part.Whole(part.After)-p.After) / float64(p.Of); part.Complete() || part.Profiles != 2000 || off < -0.1 || off > 0.1 {
			t.Errorf("%s: an estimate of %d for %d, from %+v", key, part.Whole(part.After), p.After, part.Looked)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := app.Preview(short, s, demoDefinitions()[0], engine.DryRun{}, 0, now); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without any time: %v", err)
	}
}

// commandsShowWhatIsStored runs the commands.
func commandsShowWhatIsStored(t *testing.T, s *store.Store, now time.Time) {
	dsn := s.Pool().Config().ConnString()
	muster := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		env := &environment{in: strings.NewReader(""), out: &out, err: &errs, lookup: func(string) (string, bool) { return "", false }, now: func() time.Time { return now }}
		if code := run(t.Context(), env, append(args, "--database", dsn)); code != exitOK {
			t.Fatalf("%v ends with %d: %s", args, code, errs.String())
		}
		return out.String()
	}
	count := func(statement string, args ...any) (n int64) {
		t.Helper()
		if err := s.Pool().QueryRow(t.Context(), statement, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const members = `SELECT count(*) FROM inspect.members WHERE key = $1`
	for _, key := range []string{"active_7_days", "big_spenders", "refunders"} {
		n := count(members, key)
		if n == 0 {
			t.Fatalf("nobody is in %s", key)
		}
		var size store.Size
		if err := json.Unmarshal([]byte(muster("audience", "size", key, "-o", "json", "--days", "400")), &size); err != nil {
			t.Fatal(err)
		}
		first := size.Days[len(size.Days)-1]
		if size.Size != n || *size.Days[0].Size != n || *first.Size != first.Entered-first.Exited {
			t.Errorf("%s has %d members: %+v", key, n, size)
		}
		if lines := strings.Count(muster("audience", "export", key, "--with", "lifetime_value"), "\n"); lines != int(n)+1 {
			t.Errorf("%d lines for %d members of %s", lines, n, key)
		}
		if lines := strings.Count(muster("audience", "members", key, "--limit", "3"), "\n"); lines != 4 {
			t.Errorf("%d lines for three members", lines)
		}
	}
	if n, lines := count(`SELECT count(*) FROM inspect.trait_values WHERE key = 'lifetime_value'`), strings.Count(muster("trait", "export", "lifetime_value"), "\n"); int64(lines) != n+1 {
		t.Errorf("%d lines for %d values", lines, n)
	}
	if shown := muster("run", "list", "--key", "active_7_days", "--limit", "100"); strings.Count(shown, " slot ") != 71 || strings.Count(shown, " backfill ") != 1 {
		t.Errorf("the runs of three days:\n%s", shown)
	}
	if shown := muster("run", "show", "1"); !strings.Contains(shown, "backfill") || !strings.Contains(shown, "done") {
		t.Error(shown)
	}
	if shown := muster("audience", "list"); !strings.Contains(shown, "active_7_days") || strings.Contains(shown, "lifetime_value") {
		t.Error(shown)
	}
	// A run on demand sees what has come since the last slot, and no more.
	before := count(members, "active_7_days")
	ran := muster("audience", "run", "active_7_days")
	entered, exited := int64(0), int64(0)
	if _, err := fmt.Sscanf(ran[strings.Index(ran, "active_7_days"):], "active_7_days: %d entered, %d exited", &entered, &exited); err != nil {
		t.Fatal(err, ran)
	}
	if after := count(members, "active_7_days"); after != before+entered-exited || entered+exited == 0 {
		t.Errorf("%d and then %d members, after\n%s", before, after, ran)
	}
	explainIsWhatIsStored(t, s, now)
	next := now.Truncate(time.Hour).Add(time.Hour)
	e, err := app.New(t.Context(), app.Options{Store: s, Identity: identity.DefaultSettings(), Now: func() time.Time { return next }})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := e.Engine.Verify(t.Context(), engine.VerifyOptions{}, next, func(d engine.Difference) { t.Error(d) })
	if err != nil || report.Waiting > 0 {
		t.Errorf("after the slot that follows: %+v, %v", report, err)
	}
}
