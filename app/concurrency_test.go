package app_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"muster/app"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// everyMinute is the schedule of the windowed definitions of the race.
const everyMinute = "* * * * *"

var raced = []engine.Definition{
	{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 2"},
	{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))"},
	{Key: "shelf", Kind: query.Trait, Query: "event('Seen').unique(property('item'))"},
	{Key: "recent", Kind: query.Audience, Query: "event('Bought').within(3 minutes).count() >= 1"},
	{Key: "lately", Kind: query.Trait, Query: "event('Seen').within(10 minutes).max(property('price'))"},
	{Key: "convinced", Kind: query.Audience, Query: "event('Seen').where(event('Bought').within(parent: 5 minutes).count() >= 1).count() >= 1"},
	{Key: "quiet", Kind: query.Audience, Query: "NOT (event('Bought').count() >= 1)"},
	{Key: "gold", Kind: query.Audience, Query: "trait('buyer') = 'true' AND trait('plan') = 'gold'"},
	{Key: "warm", Kind: query.Audience, Query: "trait('recent') = 'true' OR trait('convinced') = 'true'"},
}

// edits come while all runs, one after the other, each with its backfill.
var edits = []engine.Definition{
	{Key: "favourite", Kind: query.Trait, Query: "event('Seen').mode(property('item'), 1)"},
	{Key: "last_week", Kind: query.Audience, Query: "event('Seen').within(7 days).count() >= 3 AND event('Bought').count() >= 1"},
	{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 3"},
	{Key: "recent", Kind: query.Audience, Query: "event('Bought').within(5 minutes).count() >= 2"},
	{Key: "shelf", Kind: query.Trait, Query: "event('Bought').unique(property('item'))"},
	{Key: "buyer", Kind: query.Audience, Query: "event('Bought').count() >= 2"},
}

// Two processes take calls of the same people, who are merged all the time, while slots
// run, definitions come and are edited, backfills walk, and profiles are deleted. At rest
// nothing is lost, nothing is counted twice, and all is as the reference evaluator says.
func TestNothingIsLostInARace(t *testing.T) {
	ctx := t.Context()
	pool := pgtest.New(t)
	t0 := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	var clock atomic.Int64
	clock.Store(t0.UnixMilli())
	now := func() time.Time { return time.UnixMilli(clock.Load()).UTC() }
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}, Now: now})
	var processes [2]*app.App
	for i := range processes {
		a, err := app.New(ctx, app.Options{
			Store: store.New(pool), Identity: identity.DefaultSettings(), Now: now,
			Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: token, BaseURL: fake.URL()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		a.Engine.SetChunk(4, 2)
		a.Store.SetCopyRows(1)
		processes[i] = a
	}
	source, err := processes[0].Store.EnsureSource(ctx, "web", t0)
	if err != nil {
		t.Fatal(err)
	}
	define := func(defs ...engine.Definition) error {
		for i := range defs {
			defs[i].IncludeHistorical, defs[i].IncludeAnonymous, defs[i].Schedule = true, true, everyMinute
			defs[i].Connections = []engine.ConnectionDefinition{{Destination: "mixpanel"}}
		}
		refused, err := processes[0].Define(ctx, defs)
		if len(refused) > 0 {
			return refused[0]
		}
		return err
	}
	if err := define(raced...); err != nil {
		t.Fatal(err)
	}

	const workers, batches = 4, 50
	var g errgroup.Group
	var sent [workers][]*event.Call
	var working atomic.Int32
	working.Store(workers)
	for n := range workers {
		g.Go(func() error {
			defer working.Add(-1)
			random := rand.New(rand.NewPCG(7, uint64(n)))
			for b := range batches {
				batch := raceCalls(random, fmt.Sprintf("%d-%d", n, b), now(), source)
				if _, err := processes[n%2].Engine.Ingest(ctx, batch, now()); err != nil {
					return err
				}
				for _, r := range batch {
					sent[n] = append(sent[n], r.Call)
				}
				clock.Add(700)
			}
			return nil
		})
	}
	for _, a := range processes {
		g.Go(func() error { // slots
			for working.Load() > 0 {
				if _, err := a.Engine.RunSlot(ctx, everyMinute, latest(everyMinute, now()), now()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error { // definitions and their backfills
		for _, edit := range edits {
			if err := define(edit); err != nil {
				return err
			}
			if err := processes[1].Backfill(ctx, nil); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error { // deletions, of people of whom nothing else is asked
		random := rand.New(rand.NewPCG(8, 8))
		for working.Load() > 0 {
			id := identity.ID{Type: identity.UserID, Value: fmt.Sprint("gone", random.IntN(3))}
			if _, err := processes[0].Engine.DeleteProfile(ctx, []identity.ID{id}, now()); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error { // verification, of which nothing but an answer is asked as long as all moves
		for working.Load() > 0 {
			_, err := processes[1].Engine.Verify(ctx, engine.VerifyOptions{Share: 0.5}, now(), func(d engine.Difference) { t.Errorf("meanwhile: %s", d) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second for what the first slot's instant left to the next
		clock.Store(now().Truncate(time.Minute).Add(time.Minute).UnixMilli())
		if err := processes[0].Settle(ctx); err != nil {
			t.Fatal(err)
		}
	}
	people := readPeople(t, pool)
	for _, calls := range sent {
		for _, c := range calls {
			people.has(t, c)
		}
	}
	people.compare(t, pool, processes[0], now())
	report, err := processes[1].Engine.Verify(ctx, engine.VerifyOptions{}, now(), func(d engine.Difference) { t.Errorf("verify: %s", d) })
	if err != nil || report.Waiting > 0 {
		t.Fatal(report, err)
	}
	if v := fake.Violations(); len(v) > 0 {
		t.Errorf("Mixpanel's rules were broken: %v", v)
	}
	t.Logf("%+v", report)
}

// raceCalls are calls of few people, some with ids of two.
func raceCalls(random *rand.Rand, batch string, now time.Time, source store.Source) []engine.Received {
	calls := make([]engine.Received, 1+random.IntN(12))
	for i := range calls {
		c := &event.Call{Type: event.Track, MessageID: fmt.Sprintf("%s-%d", batch, i), ReceivedAt: now}
		c.Timestamp = now.Add(-time.Duration(random.IntN(400)) * time.Second)
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			c.AnonymousID = fmt.Sprint("a", random.IntN(120))
		case 4, 5, 6:
			c.UserID = fmt.Sprint("u", random.IntN(40))
		case 7, 8:
			c.UserID, c.AnonymousID = fmt.Sprint("u", random.IntN(40)), fmt.Sprint("a", random.IntN(120))
		case 9:
			c.UserID = fmt.Sprint("gone", random.IntN(3))
		}
		c.Event = []string{"Bought", "Seen", "Seen", "Left"}[random.IntN(4)]
		c.Properties = jsontext.Value(fmt.Sprintf(`{"price":%d.5,"item":"i%d"}`, random.IntN(20), random.IntN(6)))
		if random.IntN(6) == 0 {
			c.Type, c.Event, c.Properties = event.Identify, "", nil
			c.Traits = jsontext.Value(fmt.Sprintf(`{"plan":%q}`, []string{"gold", "free"}[random.IntN(2)]))
		}
		calls[i] = engine.Received{Call: c, Source: source.Name, SourceID: source.ID}
	}
	return calls
}

// population is the profiles as they are stored, without anything that is computed.
type population struct {
	owners  map[identity.ID]int64
	events  map[string]int64 // profile by message id
	history map[int64]*query.Profile
	links   map[int64][]identity.Link
}

func readPeople(t *testing.T, pool *pgxpool.Pool) population {
	t.Helper()
	p := population{make(map[identity.ID]int64), make(map[string]int64), make(map[int64]*query.Profile), make(map[int64][]identity.Link)}
	each := func(statement string, into []any, f func() error) {
		t.Helper()
		rows, err := pool.Query(t.Context(), statement)
		if err == nil {
			_, err = pgx.ForEachRow(rows, into, f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var profile int64
	var id identity.ID
	each(`SELECT profile_id, id_type, id_value FROM id_owners`, []any{&profile, &id.Type, &id.Value}, func() error {
		p.owners[id] = profile
		return nil
	})
	var at time.Time
	each(`SELECT profile_id, id_type, id_value, added_at FROM external_ids`, []any{&profile, &id.Type, &id.Value, &at}, func() error {
		if p.owners[id] != profile {
			t.Errorf("%s is listed under profile %d and owned by %d", id, profile, p.owners[id])
		}
		p.links[profile] = append(p.links[profile], identity.Link{ID: id, AddedAt: at})
		return nil
	})
	for profile := range p.links {
		p.history[profile] = &query.Profile{Traits: make(map[string]query.Value)}
	}
	var message, name string
	var properties []byte
	var arrival int64
	each(`SELECT profile_id, message_id, name, ts, seq, properties FROM events JOIN event_names USING (event_name_id)`,
		[]any{&profile, &message, &name, &at, &arrival, &properties}, func() error {
			if _, twice := p.events[message]; twice {
				t.Errorf("message %s is stored twice", message)
			}
			if p.history[profile] == nil {
				return fmt.Errorf("an event belongs to profile %d, which is not there", profile)
			}
			p.events[message] = profile
			e := &query.Event{Name: name, Time: at, Arrival: arrival, Source: "web", Properties: append([]byte(nil), properties...)}
			p.history[profile].Events = append(p.history[profile].Events, e)
			return nil
		})
	var value []byte
	each(`SELECT profile_id, key, value FROM traits WHERE value IS NOT NULL`, []any{&profile, &name, &value}, func() error {
		v, err := query.ParseValue(value)
		p.history[profile].Traits[name] = v
		return err
	})
	return p
}

// has checks that a call is stored once, with the owner of its most important id.
func (p population) has(t *testing.T, c *event.Call) {
	t.Helper()
	if len(c.UserID) > 4 && c.UserID[:4] == "gone" {
		return
	}
	id := identity.ID{Type: identity.UserID, Value: c.UserID}
	if c.UserID == "" {
		id = identity.ID{Type: identity.AnonymousID, Value: c.AnonymousID}
	}
	owner, ok := p.owners[id]
	if !ok {
		t.Errorf("nobody owns %s", id)
	}
	if c.Type != event.Track {
		return
	}
	if profile, ok := p.events[c.MessageID]; !ok || profile != owner {
		t.Errorf("message %s of %s is with profile %d, want %d", c.MessageID, id, profile, owner)
	}
}

// compare evaluates every definition for every profile.
func (p population) compare(t *testing.T, pool *pgxpool.Pool, a *app.App, now time.Time) {
	t.Helper()
	catalog, err := a.Engine.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compared, on := 0, 0
	for _, c := range catalog.Computations {
		stored := make(map[int64]query.Value)
		rows, err := pool.Query(t.Context(), `SELECT profile_id, value FROM computed_values WHERE computation_id = $1`, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		var profile int64
		var raw []byte
		_, err = pgx.ForEachRow(rows, []any{&profile, &raw}, func() error {
			v, err := query.ParseValue(raw)
			stored[profile] = v
			if p.history[profile] == nil {
				return errors.Join(err, fmt.Errorf("profile %d is not there", profile))
			}
			return err
		})
		if err != nil {
			t.Fatal(c.Key, err)
		}
		if c.Current == nil || c.Next != nil {
			t.Fatalf("%s is not at rest", c.Key)
		}
		asOf := now
		if c.Current.Scheduled() {
			asOf = latest(everyMinute, now)
		}
		for profile, history := range p.history {
			want := c.Current.Definition.Eval(*history, asOf)
			got := stored[profile]
			compared++
			if off(want) && off(got) {
				continue
			}
			on++
			if !got.Equal(want) {
				t.Errorf("%s of profile %d is %s, want %s", c.Key, profile, got, want)
			}
			history.Traits[c.Key] = got
		}
		for profile, history := range p.history { // for those that read it
			history.Traits[c.Key] = stored[profile]
		}
	}
	t.Logf("%d values compared, of which %d are on", compared, on)
}
