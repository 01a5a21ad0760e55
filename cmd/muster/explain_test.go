package main

import (
	"bytes"
	"os"
	"testing"
	"time"

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

// What explain says of a profile is what is stored of it: on the log of a real shop, for
// every audience and trait.
func TestExplainAgreesWithWhatIsStored(t *testing.T) {
	if testing.Short() {
		t.Skip("loads the demo's log")
	}
	s, now := shop(t)
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
