package app_test

import (
	gocmp "cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"muster/app"
	"muster/engine"
	"muster/identity"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query/querytest"
	"muster/store"
)

// Whatever is defined, called, edited, removed, merged, deleted, restarted and however the
// clock moves: what is stored is what the plainest model says after each step, and once all
// is told, the ledger is that, and what Mixpanel holds is the ledger.
//
// The long mode: go test ./app -run Property -rapid.checks=100000
func TestPropertyStoredIsTheReference(t *testing.T) {
	pool := pgtest.New(t)
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}})
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t, pool, fake)
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"calls":   m.calls,
			"meet":    m.meet,
			"define":  m.define,
			"change":  m.change,
			"remove":  m.remove,
			"resync":  m.resync,
			"retell":  m.retell,
			"forget":  m.forget,
			"wait":    m.wait,
			"slot":    m.slot,
			"begin":   m.begin,
			"step":    m.step,
			"step on": m.step,
			"settle":  m.settle,
			"restart": m.restart,
		})
		m.settle(t)
		m.check(t)
		m.verify(t)
	})
}

// machine is the product and the model side by side.
type machine struct {
	pool  *pgxpool.Pool
	fake  *mixpaneltest.Server
	now   time.Time
	clock atomic.Int64
	app   *app.App
	world *world
	rules *identity.Rules

	messages  int
	past      []engine.Received
	sourceIDs map[string]int64
	resynced  map[string]time.Time // by key: when a resync began
}

var tables = []string{
	"profiles", "external_ids", "id_owners", "traits", "profile_merges", "profile_deletions", "identity_violations", "events", "message_keys",
	"leaf_states", "overflows", "computed_values", "value_changes", "due_evaluations", "slots", "runs", "backfills", "ledger", "queue", "queue_positions",
	"queue_barriers", "dead_letters", "accounts", "account_traits", "account_members", "version_leaves", "leaves", "connections",
	"retellings", "computation_versions", "computations", "destinations",
}

func newMachine(t *rapid.T, pool *pgxpool.Pool, fake *mixpaneltest.Server) *machine {
	rules, err := identity.DefaultSettings().Compile()
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{
		pool: pool, fake: fake, rules: rules, world: newWorld(rules), now: querytest.Base.AddDate(0, 0, -9),
		sourceIDs: make(map[string]int64), resynced: make(map[string]time.Time),
	}
	if _, err := pool.Exec(t.Context(), `TRUNCATE `+strings.Join(tables, ", ")+` CASCADE`); err != nil {
		t.Fatal(err)
	}
	fake.Reset()
	m.tick(0)
	m.restart(t)
	for _, name := range sources {
		s, err := m.app.Store.EnsureSource(t.Context(), name, m.now)
		if err != nil {
			t.Fatal(err)
		}
		m.sourceIDs[name] = s.ID
	}
	return m
}

func (m *machine) tick(d time.Duration) {
	m.now = m.now.Add(d)
	m.clock.Store(m.now.UnixMilli())
	m.fake.SetNow(m.now)
}

// restart begins anew with what is stored.
func (m *machine) restart(t *rapid.T) {
	if m.app != nil {
		m.app.Close()
	}
	var err error
	m.app, err = app.New(t.Context(), app.Options{
		Store: store.New(m.pool), Identity: identity.DefaultSettings(),
		// Without aliases, each id has a profile of its own in Mixpanel, which can be compared
		// with the ledger.
		Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: token, BaseURL: m.fake.URL(), AliasWhenKnown: new(false)}},
		Now:          func() time.Time { return time.UnixMilli(m.clock.Load()).UTC() },
	})
	if err != nil {
		t.Fatal(err)
	}
	m.app.Engine.SetChunk(rapid.IntRange(1, 3).Draw(t, "chunk"), rapid.IntRange(1, 2).Draw(t, "chunks"))
	m.app.Store.SetCopyRows(rapid.SampledFrom([]int{1, 2, 200}).Draw(t, "copied"))
}

func (m *machine) message() string {
	m.messages++
	return fmt.Sprintf("m%d", m.messages)
}

func (m *machine) calls(t *rapid.T) {
	batch := drawCalls(t, m.now, m.message)
	if len(m.past) > 0 && chance(t, 4) {
		batch = append(batch, rapid.SampledFrom(m.past).Draw(t, "again"))
	}
	m.ingest(t, batch)
}

func (m *machine) meet(t *rapid.T) { m.ingest(t, drawMeeting(t, m.now, m.message)) }

func (m *machine) ingest(t *rapid.T, batch []engine.Received) {
	if len(batch) == 0 {
		return
	}
	for i := range batch {
		batch[i].SourceID = m.sourceIDs[batch[i].Source]
	}
	t.Logf("%s: calls%s", m.now.Format(time.DateTime), calls(batch))
	if _, err := m.app.Engine.Ingest(t.Context(), batch, m.now); err != nil {
		t.Fatal(err)
	}
	m.past = append(m.past, batch...)
	m.world.take(batch, m.now)
	m.match(t)
	m.world.decideAll(m.now, nil)
	m.tick(time.Second)
}

func (m *machine) define(t *rapid.T) {
	var defs []engine.Definition
	for range rapid.IntRange(1, 2).Draw(t, "definitions") {
		defs = append(defs, drawDefinition(t, m.world))
	}
	refused, err := m.app.Define(t.Context(), slices.Clone(defs))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, r := range refused {
		got = append(got, r.Key)
	}
	for _, def := range defs {
		t.Logf("%s: define %s %s (%s %s, anonymous %v, historical %v, days %d, disabled %v, reuse %v, to %v): %s", m.now.Format(time.DateTime), def.Kind, def.Key, def.Schedule, def.Refresh,
			def.IncludeAnonymous, def.IncludeHistorical, def.BackfillDays, def.Disabled, def.ReuseKey, def.Connections, def.Query)
		delete(m.resynced, def.Key)
		if !m.world.define(def, m.now) {
			want = append(want, def.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("refused: %v, want %v", refused, want)
	}
	m.tick(time.Second)
}

// change leaves a backfill half done.
func (m *machine) change(t *rapid.T) {
	m.define(t)
	m.begin(t)
	if m.world.walk != nil && len(m.world.people) > 0 {
		m.step(t)
	}
}

func (m *machine) remove(t *rapid.T) {
	if len(m.world.computations) == 0 || !chance(t, 2) {
		t.Skip("nothing to remove")
	}
	c := rapid.SampledFrom(m.world.computations).Draw(t, "removed")
	cleanup := rapid.SampledFrom([]engine.Cleanup{"", engine.CleanupNone, engine.CleanupExit, engine.CleanupUnset}).Draw(t, "cleanup")
	t.Logf("%s: remove %s, cleanup %q", m.now.Format(time.DateTime), c.def.Key, cleanup)
	if found, err := m.app.Engine.RemoveWith(t.Context(), c.def.Key, cleanup, m.now); err != nil || !found {
		t.Fatal(found, err)
	}
	delete(m.resynced, c.def.Key)
	for _, conn := range c.def.Connections {
		m.world.cleans(c, gocmp.Or(cleanup, conn.Cleanup))
	}
	m.world.remove(c)
	m.tick(time.Second)
}

// resync tells everything again.
func (m *machine) resync(t *rapid.T) {
	if len(m.world.computations) == 0 {
		t.Skip("nothing to tell")
	}
	c := rapid.SampledFrom(m.world.computations).Draw(t, "resynced")
	t.Logf("%s: resync %s", m.now.Format(time.DateTime), c.def.Key)
	running := m.count(t, `SELECT count(*) FROM retellings r JOIN connections n USING (connection_id) JOIN computations c USING (computation_id)
		WHERE r.finished_at IS NULL AND n.removed_at IS NULL AND c.key = '`+c.def.Key+`'`)
	n, err := m.app.Engine.Resync(t.Context(), c.def.Key, "", m.now)
	if can := c.current != nil && !c.rests && len(c.def.Connections) > 0 && running == 0; can != (err == nil && n == 1) {
		t.Fatalf("can be told again: %v; %v", can, err)
	} else if can {
		m.resynced[c.def.Key] = m.now
	}
	m.tick(time.Second)
}

// retell takes the oldest retelling a chunk further.
func (m *machine) retell(t *rapid.T) {
	r, err := m.app.Engine.StepRetelling(t.Context(), m.now)
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		t.Skip("nothing is told again")
	}
	t.Logf("%s: a step of a %s of %s: %+v", m.now.Format(time.DateTime), r.Kind, r.Connection.Computation.Key, *r)
	if r.Over && r.Kind != engine.RetellResync {
		delete(m.world.cleaning, r.Connection.Computation.Key)
	}
	m.tick(time.Second)
}

func (m *machine) forget(t *rapid.T) {
	if len(m.world.people) == 0 || !chance(t, 2) {
		t.Skip("nobody to forget")
	}
	p := m.world.people[rapid.SampledFrom(slices.Sorted(maps.Keys(m.world.people))).Draw(t, "forgotten")]
	id := rapid.SampledFrom(p.links).Draw(t, "id").ID
	t.Logf("%s: forget %s", m.now.Format(time.DateTime), id)
	report, err := m.app.Engine.DeleteProfile(t.Context(), []identity.ID{id}, m.now)
	if err != nil || !slices.Equal(report.Profiles, []int64{p.stored}) {
		t.Fatal(report, err)
	}
	if report.Events != int64(len(p.events)) || report.IDs != int64(len(p.links)) {
		t.Fatalf("deleted %+v, want %d events and %d ids", report, len(p.events), len(p.links))
	}
	m.world.forget(p)
	m.leavesNothing(t, p)
}

// leavesNothing looks for what a deletion has forgotten.
func (m *machine) leavesNothing(t *rapid.T, p *person) {
	for _, table := range []string{
		"profiles", "external_ids", "id_owners", "traits", "events", "leaf_states", "overflows", "computed_values", "value_changes",
		"due_evaluations", "ledger", "queue", "dead_letters", "identity_violations", "account_members",
	} {
		var n int
		if err := m.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table+` WHERE profile_id = $1`, p.stored).Scan(&n); err != nil || n > 0 {
			t.Fatal(table, n, err)
		}
	}
	var n int
	if err := m.pool.QueryRow(t.Context(), `SELECT count(*) FROM profile_merges WHERE survivor_id = $1`, p.stored).Scan(&n); err != nil || n > 0 {
		t.Fatal("profile_merges", n, err)
	}
}

func (m *machine) wait(t *rapid.T) {
	m.tick(rapid.SampledFrom([]time.Duration{10 * time.Minute, time.Hour, 7 * time.Hour, 31 * time.Hour, 80 * time.Hour}).Draw(t, "wait"))
	if chance(t, 3) {
		m.tick(m.now.Truncate(time.Hour).Add(time.Hour).Sub(m.now)) // a slot to the moment
	}
}

func (m *machine) slot(t *rapid.T) {
	if len(m.world.schedules()) == 0 {
		t.Skip("nothing is scheduled")
	}
	schedule := rapid.SampledFrom(m.world.schedules()).Draw(t, "schedule")
	t.Logf("%s: slot of %s", m.now.Format(time.DateTime), schedule)
	if _, err := m.app.Engine.RunSlot(t.Context(), schedule, latest(schedule, m.now), m.now); err != nil {
		t.Fatal(err)
	}
	m.world.slot(schedule, m.now)
	m.tick(time.Second)
}

func latestSlot(schedule string, at time.Time) (time.Time, error) { return latest(schedule, at), nil }

func (m *machine) begin(t *rapid.T) {
	running, err := m.app.Engine.BeginBackfill(t.Context(), latestSlot, m.now)
	if err != nil {
		t.Fatal(err)
	}
	if m.world.walk == nil && running {
		youngest, _ := m.progress(t)
		t.Logf("%s: a backfill begins", m.now.Format(time.DateTime))
		if !m.world.begin(youngest, m.now) {
			t.Fatal("a backfill began for nothing")
		}
	}
	if running != (m.world.walk != nil) {
		t.Fatalf("a backfill runs: %v", running)
	}
}

// progress reads how far the backfill is.
func (m *machine) progress(t *rapid.T) (youngest int64, at engine.Place) {
	err := m.pool.QueryRow(t.Context(), `SELECT max_profile_id, at_bucket, at_profile_id FROM backfills WHERE status = 'running'`).
		Scan(&youngest, &at.Bucket, &at.ProfileID)
	if err != nil {
		t.Fatal(err)
	}
	return youngest, at
}

func (m *machine) step(t *rapid.T) {
	if m.world.walk == nil {
		t.Skip("no backfill runs")
	}
	p, err := m.app.Engine.StepBackfill(t.Context(), m.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: a step of the backfill: %+v", m.now.Format(time.DateTime), p.Backfill)
	if p.Finished {
		m.world.advance(engine.Place{Bucket: engine.Buckets}, m.now)
		m.world.finish()
	} else {
		_, at := m.progress(t)
		m.world.advance(at, m.now)
	}
	m.tick(time.Second)
}

func (m *machine) settle(t *rapid.T) {
	t.Logf("%s: settle", m.now.Format(time.DateTime))
	if err := m.app.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.world.settle(m.now)
	m.toldAll(t)
	m.tick(time.Second)
}
