package app_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"muster/app"
	"muster/deliver"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// Whatever people do, whatever Mixpanel answers, wherever the connection breaks and whenever
// the process that delivers dies: at rest Mixpanel's profiles and its events without
// repetitions are what was said, except for what stands in the dead letters. Each profile hears
// everything in order, what counts is counted at most once, and no rule of Mixpanel is broken.
// Besides what is computed, all calls are forwarded, and visitors become known by alias.
//
// The long mode: go test ./app -run EverythingIsTold -rapid.checks=10000
func TestEverythingIsToldWhateverHappens(t *testing.T) {
	pool := pgtest.New(t)
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token}}})
	fake.Allow(mixpaneltest.RuleInvalid) // faults refuse good records
	rapid.Check(t, func(t *rapid.T) {
		m := newTelling(t, pool, fake)
		defer m.app.Close()
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"people":  m.people,
			"crowd":   m.people,
			"faults":  m.faults,
			"deliver": m.deliver,
			"crash":   m.crash,
			"time":    m.time,
			"retry":   m.retry,
		})
		m.settle(t)
	})
}

const (
	tellingUsers = 5
	tellingTTL   = 10 * time.Second
)

var tellingPace = deliver.Pace{Batch: 3, Window: 8, FirstDelay: time.Second, LongestDelay: 10 * time.Second, GiveUpAge: time.Hour, GiveUpAttempts: 3}

// telling is the engine, the queue in PostgreSQL and a process that delivers, which may die.
type telling struct {
	pool  *pgxpool.Pool
	fake  *mixpaneltest.Server
	app   *app.App
	clock atomic.Int64

	messages, processes int
	process             *deliver.Deliverer
	link                *brokenQueue
	witness             *witness

	plan    map[string]string // by user, what was said last
	orders  map[string]int
	routed  int64        // number of the destination
	members map[int]bool // visitors who have a user id
}

func newTelling(t *rapid.T, pool *pgxpool.Pool, fake *mixpaneltest.Server) *telling {
	if _, err := pool.Exec(t.Context(), `TRUNCATE `+strings.Join(tables, ", ")+` CASCADE`); err != nil {
		t.Fatal(err)
	}
	fake.Reset()
	m := &telling{pool: pool, fake: fake, plan: make(map[string]string), orders: make(map[string]int), members: make(map[int]bool)}
	m.witness = &witness{RoundTripper: http.DefaultTransport, last: make(map[string]int64), seen: make(map[string]bool)}
	m.move(0)
	m.clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	m.move(0)
	var err error
	m.app, err = app.New(t.Context(), app.Options{
		Store: store.New(pool), Identity: identity.DefaultSettings(), Now: m.now,
		Destinations: map[string]mixpanel.Settings{"mixpanel": m.settings()},
	})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := m.app.Store.DestinationIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.routed = ids["mixpanel"]
	connect := func(emit engine.Emit) []engine.ConnectionDefinition {
		return []engine.ConnectionDefinition{{Destination: "mixpanel", Emit: emit, Strategy: rapid.SampledFrom([]identity.Strategy{"all", "last"}).Draw(t, "strategy")}}
	}
	refused, err := m.app.Define(t.Context(), []engine.Definition{
		{Key: "pros", Name: "Pros", Kind: query.Audience, Query: "trait('plan') = 'pro'", Connections: connect(engine.EmitBoth)},
		{Key: "last_order", Name: "Last order", Kind: query.Trait, Query: "event('Order').last(property('n'))", Connections: connect(engine.EmitIdentify)},
	})
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	if err := m.app.Backfill(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	return m
}

func (m *telling) settings() mixpanel.Settings {
	return mixpanel.Settings{
		Token: token, BaseURL: m.fake.URL(), EventIncrements: []string{"Audience Entered"},
		MaxEventsPerRequest: 3, MaxProfilesPerRequest: 2, RequestTimeout: mixpanel.Duration(10 * time.Second),
	}
}

func (m *telling) now() time.Time { return time.UnixMilli(m.clock.Load()).UTC() }

func (m *telling) move(d time.Duration) {
	m.clock.Add(d.Milliseconds())
	m.fake.SetNow(m.now())
}

// start begins a new process. It knows nothing of those before it but what is stored.
func (m *telling) start(t *rapid.T) {
	m.processes++
	d, err := mixpanel.NewDestination(m.settings(), &http.Client{Transport: m.witness})
	if err != nil {
		t.Fatal(err)
	}
	d.LeaveSettling()
	m.link = &brokenQueue{Queue: m.app.Store.Queue()}
	m.process, err = deliver.New(deliver.Config{
		Queue: m.link, Owner: fmt.Sprint("process ", m.processes), Now: m.now, Random: func() float64 { return 0.5 }, LeaseTTL: tellingTTL,
		Targets: func(context.Context) ([]deliver.Target, error) {
			return []deliver.Target{{Name: "mixpanel", Destination: d, Pace: tellingPace, Repeatable: d.Repeatable}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// people do things.
func (m *telling) people(t *rapid.T) {
	var batch []engine.Received
	for range rapid.IntRange(1, 6).Draw(t, "calls") {
		m.messages++
		m.move(time.Millisecond)
		if rapid.IntRange(0, 2).Draw(t, "visitor") == 0 {
			batch = append(batch, m.receive(t, m.visit(t)))
			continue
		}
		n := rapid.IntRange(1, tellingUsers).Draw(t, "user")
		user := fmt.Sprint("user", n)
		text := fmt.Sprintf(`"messageId":"m%d","userId":%q,"timestamp":%q`, m.messages, user, m.now().Format(time.RFC3339Nano))
		if rapid.Bool().Draw(t, "identify") {
			plan := rapid.SampledFrom([]string{"pro", "free"}).Draw(t, "plan")
			m.plan[user] = plan
			text = fmt.Sprintf(`{"type":"identify",%s,"traits":{"plan":%q,"email":"%s@example.com"}}`, text, plan, user)
		} else {
			m.orders[user] = m.messages
			charge := ""
			if rapid.Bool().Draw(t, "charge") {
				charge = `,"revenue":5`
			}
			text = fmt.Sprintf(`{"type":"track","event":"Order",%s,"properties":{"n":%d%s}}`, text, m.messages, charge)
		}
		batch = append(batch, m.receive(t, text))
	}
	if _, err := m.app.Engine.Ingest(t.Context(), batch, m.now()); err != nil {
		t.Fatal(err)
	}
	m.move(time.Second)
}

// receive is a call that is forwarded, too.
func (m *telling) receive(t *rapid.T, text string) engine.Received {
	call, err := event.Decode([]byte(text), event.Envelope{ReceivedAt: m.now()})
	if err != nil {
		t.Fatal(err)
	}
	return engine.Received{
		Call: call, Source: "web", SourceID: 1, Routes: []engine.Route{{DestinationID: m.routed, Joins: call.Type == event.Alias}},
	}
}

const tellingVisitors = 3

// visit is a call of a visitor: of somebody anonymous, until an alias says which user it is.
func (m *telling) visit(t *rapid.T) string {
	n := rapid.IntRange(1, tellingVisitors).Draw(t, "who")
	common := fmt.Sprintf(`"messageId":"m%d","timestamp":%q`, m.messages, m.now().Format(time.RFC3339Nano))
	id := fmt.Sprintf(`"anonymousId":"visitor%d"`, n)
	if m.members[n] {
		id = fmt.Sprintf(`"userId":"member%d"`, n)
	}
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		if !m.members[n] {
			m.members[n] = true
			return fmt.Sprintf(`{"type":"alias",%s,"previousId":"visitor%d","userId":"member%[2]d"}`, common, n)
		}
		id = fmt.Sprintf(`"anonymousId":"visitor%d"`, n) // late
		fallthrough
	case 1:
		return fmt.Sprintf(`{"type":"track","event":"Look",%s,%s}`, common, id)
	default:
		return fmt.Sprintf(`{"type":"identify",%s,%s,"traits":{"color":"c%d"}}`, common, id, m.messages)
	}
}

// faults of Mixpanel and of the way to it, until the next ones.
func (m *telling) faults(t *rapid.T) {
	var script []mixpaneltest.Fault
	for range rapid.IntRange(0, 3).Draw(t, "faults") {
		f := mixpaneltest.Fault{
			Endpoint: rapid.SampledFrom([]mixpaneltest.Endpoint{"", mixpaneltest.Import, mixpaneltest.Engage}).Draw(t, "endpoint"),
			Nth:      rapid.IntRange(1, 4).Draw(t, "nth"),
			Count:    rapid.SampledFrom([]int{1, 1, 2, 5, -1}).Draw(t, "count"),
			Kind: rapid.SampledFrom([]mixpaneltest.FaultKind{
				mixpaneltest.FaultStatus, mixpaneltest.FaultStatus, mixpaneltest.FaultCloseBefore, mixpaneltest.FaultCloseAfter, mixpaneltest.FaultCloseAfter,
				mixpaneltest.FaultWrongJSON, mixpaneltest.FaultZero, mixpaneltest.FaultPartial, mixpaneltest.FaultStrings,
			}).Draw(t, "kind"),
			Status:  rapid.SampledFrom([]int{413, 429, 500, 502, 503}).Draw(t, "status"),
			Applied: rapid.Bool().Draw(t, "applied"),
			Indexes: []int{rapid.IntRange(0, 2).Draw(t, "index")},
		}
		if f.Kind == mixpaneltest.FaultZero || f.Kind == mixpaneltest.FaultStrings || f.Kind == mixpaneltest.FaultStatus && f.Status < 500 {
			f.Applied = false // Mixpanel does not lie: what it refuses it has not applied
		}
		if f.Kind == mixpaneltest.FaultStatus && f.Status == 429 && rapid.Bool().Draw(t, "asks") {
			f.RetryAfter = 30 * time.Second
		}
		script = append(script, f)
	}
	t.Logf("faults %+v", script)
	m.fake.SetFaults(script...)
}

// deliver goes on until the process has to wait, or dies.
func (m *telling) deliver(t *rapid.T) {
	err := m.process.Drain(t.Context())
	switch {
	case errors.Is(err, errDead):
		m.start(t)
	case err != nil:
		t.Fatal(err)
	}
	m.unhalt(t)
}

// unhalt is what an operator does who has mended the settings.
func (m *telling) unhalt(t *rapid.T) {
	lags, err := m.app.Store.Lags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lags {
		if l.HaltedReason != "" {
			t.Fatalf("halted: %s", l.HaltedReason) // none of the faults is one of the settings
		}
	}
}

// crash lets the process die at one of its next steps.
func (m *telling) crash(t *rapid.T) {
	m.link.dieAfter(rapid.IntRange(0, 12).Draw(t, "steps"), rapid.Bool().Draw(t, "stored"))
	m.deliver(t)
}

func (m *telling) time(t *rapid.T) {
	m.move(rapid.SampledFrom([]time.Duration{time.Second, tellingTTL, time.Minute, time.Hour}).Draw(t, "time"))
}

// retry is an operator who sends dead letters again, uncertain ones too. What counts may count twice
// by that, so only those are sent again that do not.
func (m *telling) retry(t *rapid.T) {
	kind := rapid.SampledFrom([]string{store.KindRejected, store.KindGaveUp}).Draw(t, "kind")
	letters, err := m.app.Store.DeadLetters(t.Context(), store.LetterFilter{Kind: kind, Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range letters {
		if l.Forwarded { // it comes after what was said later, however late it is sent for the first time
			m.witness.excuse(l.Call.UserID+l.Call.AnonymousID, l.Call.Timestamp.UnixMilli())
		}
	}
	if _, err := m.app.Store.RetryDeadLetters(t.Context(), store.LetterFilter{Kind: kind}, m.now()); err != nil {
		t.Fatal(err)
	}
}

func (m *telling) check(t *rapid.T) {
	if faults := m.witness.faults(); len(faults) > 0 {
		t.Fatal(strings.Join(faults, "\n"))
	}
	for _, v := range m.fake.Violations() {
		if v.Rule != mixpaneltest.RuleInvalid {
			t.Fatal(v)
		}
	}
}

// settle heals everything, lets time pass until nothing waits, and compares.
func (m *telling) settle(t *rapid.T) {
	m.fake.SetFaults()
	m.link.heal()
	m.move(2 * tellingTTL)
	for range 1000 {
		m.deliver(t)
		if due := m.process.Due(); !due.IsZero() {
			m.move(max(due.Sub(m.now()), 0))
			continue
		}
		lags, err := m.app.Store.Lags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if lags[0].Waiting == 0 {
			m.check(t)
			m.compare(t)
			return
		}
		m.move(tellingTTL)
	}
	t.Fatal("something waits for ever")
}

// said is a line of the queue, and what became of it.
type said struct {
	ids, form, value, key, kind, resolution string
	times                                   int
	at                                      time.Time
}

// log is all that was ever to be told: the queue, in order, whose parts are not dropped here. A
// message that was queued again is one line, with its last fate.
func (m *telling) log(t *rapid.T) []said {
	rows, err := m.pool.Query(t.Context(), `
		SELECT q.ids, q.form, q.value::text, q.told, q.at, c.key, coalesce(l.kind, ''), coalesce(l.resolution, '')
		FROM (SELECT DISTINCT ON (connection_id, profile_id, ids, form, told) * FROM queue ORDER BY connection_id, profile_id, ids, form, told, seq DESC) q
		JOIN connections n USING (connection_id) JOIN computations c ON c.computation_id = n.computation_id
		LEFT JOIN dead_letters l ON (l.destination_id, l.lane, l.seq) = (q.destination_id, q.lane, q.seq)
		ORDER BY q.at, q.told`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []said
	for rows.Next() {
		var s said
		if err := rows.Scan(&s.ids, &s.form, &s.value, &s.times, &s.at, &s.key, &s.kind, &s.resolution); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// compare holds what Mixpanel has against what was said.
func (m *telling) compare(t *rapid.T) {
	must, may := make(map[string]bool), make(map[string]bool) // events
	counted := make(map[string][2]int)                        // by user: at least and at most
	open := make(map[string]bool)                             // properties of which something is lost
	for _, s := range m.log(t) {
		ids, err := identity.ParseCombination(s.ids)
		if err != nil {
			t.Fatal(err)
		}
		user := ids.UserID
		if s.kind == store.KindUncertain && s.form == "identify" {
			t.Errorf("a property can be told again, and is uncertain: %+v", s)
		}
		if s.form == "identify" {
			open[user+" "+s.key] = s.kind != "" && s.resolution != "superseded"
			continue
		}
		name := "Audience Entered"
		if s.value == "false" {
			name = "Audience Exited"
		}
		at := fmt.Sprint(user, " ", name, " ", s.at.UnixMilli())
		may[at] = true
		must[at] = must[at] || s.kind == ""
		if name == "Audience Entered" {
			c := counted[user]
			if s.kind == "" {
				c[0]++
			}
			if c[1]++; s.kind == store.KindGaveUp {
				c[1]-- // nothing of it was applied
			}
			counted[user] = c
		}
	}
	for user := range m.known() {
		profile, _ := m.fake.Profile(token, user)
		want := make(map[string]any)
		if m.plan[user] != "" && !open[user+" pros"] && (m.plan[user] == "pro" || profile.Properties["pros"] != nil) {
			want["pros"] = m.plan[user] == "pro"
		}
		if n, ok := m.orders[user]; ok && !open[user+" last_order"] {
			want["last_order"] = float64(n)
		}
		for key, value := range want {
			if profile.Properties[key] != value {
				t.Errorf("%s of %s is %v, want %v", key, user, profile.Properties[key], value)
			}
		}
		n, _ := profile.Properties["Audience Entered"].(float64)
		if c := counted[user]; int(n) < c[0] || int(n) > c[1] {
			t.Errorf("%s entered %v times, want %d to %d", user, n, c[0], c[1])
		}
	}
	m.compareForwarded(t, must, may)
	got := make(map[string]bool)
	for _, e := range m.fake.Events(token, mixpaneltest.Deduped) {
		if e.Effect != "" {
			continue // of an alias
		}
		var sent struct {
			Properties struct {
				ID string `json:"distinct_id"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(e.Sent, &sent); err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprint(sent.Properties.ID, " ", e.Name, " ", e.Time.UnixMilli())
		if got[at] {
			t.Errorf("%s is there twice", at)
		}
		got[at] = true
		if !may[at] {
			t.Errorf("%s was never said", at)
		}
	}
	maps.DeleteFunc(must, func(_ string, must bool) bool { return !must })
	for at := range must {
		if !got[at] {
			t.Errorf("%s is lost", at)
		}
	}
	if len(must) == len(may) {
		if diff := cmp.Diff(slices.Sorted(maps.Keys(may)), slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("events, -said +told\n%s", diff)
		}
	}
}

// compareForwarded holds what Mixpanel has of the forwarded calls against the queue, and adds
// the events that must and that may be there.
func (m *telling) compareForwarded(t *rapid.T, must, may map[string]bool) {
	rows, err := m.pool.Query(t.Context(), `
		SELECT q.call, coalesce(l.kind, '') FROM queue q LEFT JOIN dead_letters l ON (l.destination_id, l.lane, l.seq) = (q.destination_id, q.lane, q.seq)
		WHERE q.call IS NOT NULL AND (q.barrier IS NULL OR q.barrier < q.seq) ORDER BY q.seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	traits := make(map[string]string) // by id, as it was said last; "" when that may be lost
	charges := make(map[string][2]int)
	joined := make(map[string]bool)  // members whose alias was queued
	refused := make(map[string]bool) // members whose alias was refused at least once
	raced := make(map[string]bool)   // members of whom both ids were told something at once, by a retry
	for rows.Next() {
		var text []byte
		var kind string
		if err := rows.Scan(&text, &kind); err != nil {
			t.Fatal(err)
		}
		c, err := engine.DecodeCall(text)
		if err != nil {
			t.Fatal(err)
		}
		id, charge := engine.CarrierOf(c), strings.Contains(string(c.Properties), "revenue")
		if kind == store.KindUncertain && !charge {
			t.Errorf("%s can be sent again, and is uncertain", text)
		}
		switch c.Type {
		case event.Alias:
			joined[id] = true
			refused[id] = refused[id] || kind != ""
		case event.Identify:
			value := string(c.Lookup(event.InTraits, "plan")) + string(c.Lookup(event.InTraits, "color"))
			if kind != "" {
				value = ""
			}
			member := strings.Replace(id, "visitor", "member", 1)
			raced[member] = raced[member] || member != id && joined[member]
			traits[member] = value
		case event.Track:
			at := fmt.Sprint(id, " ", c.Event, " ", c.Timestamp.UnixMilli())
			may[at] = true
			must[at] = must[at] || kind == ""
			n := charges[id]
			if charge && kind == "" {
				n[0]++
			}
			if charge && (kind == "" || kind == store.KindUncertain) {
				n[1]++
			}
			charges[id] = n
		case event.Page, event.Screen, event.Group:
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for id, want := range traits {
		profile, _ := m.fake.Profile(token, id)
		if n, member := strings.CutPrefix(id, "member"); member {
			if refused[id] || raced[id] {
				continue
			}
			profile, _ = m.fake.Profile(token, "visitor"+n)
		}
		for _, name := range []string{"plan", "color"} {
			if said, ok := profile.Properties[name].(string); ok && want != "" && `"`+said+`"` != want {
				t.Errorf("%s of %s is %q, want %s", name, id, said, want)
			}
		}
		if want != "" && profile.Properties["plan"] == nil && profile.Properties["color"] == nil {
			t.Errorf("of %s nothing is known, want %s", id, want)
		}
	}
	for profile := range m.fake.Profiles(token) {
		if strings.HasPrefix(profile.DistinctID, "member") && !refused[profile.DistinctID] {
			t.Errorf("something reached %s before its alias", profile.DistinctID)
		}
	}
	for id, want := range charges {
		profile, _ := m.fake.Profile(token, id)
		list, _ := profile.Properties["$transactions"].([]any)
		if n := len(list); n < want[0] || n > want[1] {
			t.Errorf("%s was charged %d times, want %v", id, n, want)
		}
	}
}

func (m *telling) known() map[string]bool {
	users := make(map[string]bool)
	for u := range m.plan {
		users[u] = true
	}
	for u := range m.orders {
		users[u] = true
	}
	return users
}

// brokenQueue is the queue as seen by a process that may die: from then on nothing that it
// does reaches the queue.
type brokenQueue struct {
	deliver.Queue
	mu     sync.Mutex
	mortal bool
	left   int  // calls until it dies
	stored bool // the last one is done, only its answer is lost
	dead   bool
}

var errDead = errors.New("the process is dead")

func (q *brokenQueue) dieAfter(calls int, stored bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mortal, q.left, q.stored = true, calls, stored
}

func (q *brokenQueue) heal() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mortal = false
}

func (q *brokenQueue) try(do func() error) error {
	q.mu.Lock()
	if q.dead {
		q.mu.Unlock()
		return errDead
	}
	dies := q.mortal && q.left == 0
	q.left--
	q.dead = dies
	stored := q.stored
	q.mu.Unlock()
	if dies && !stored {
		return errDead
	}
	err := do()
	if dies {
		return errDead
	}
	return err
}

// Acquire implements deliver.Queue.
func (q *brokenQueue) Acquire(ctx context.Context, c deliver.Claim) (leases []deliver.Lease, err error) {
	err = q.try(func() (err error) { leases, err = q.Queue.Acquire(ctx, c); return err })
	return leases, err
}

// Release implements deliver.Queue.
func (q *brokenQueue) Release(ctx context.Context, leases []deliver.Lease) error {
	return q.try(func() error { return q.Queue.Release(ctx, leases) })
}

// Read implements deliver.Queue.
func (q *brokenQueue) Read(ctx context.Context, lane deliver.Lane, after int64, limit int) (entries []deliver.Entry, err error) {
	err = q.try(func() (err error) { entries, err = q.Queue.Read(ctx, lane, after, limit); return err })
	return entries, err
}

// MarkInFlight implements deliver.Queue.
func (q *brokenQueue) MarkInFlight(ctx context.Context, l deliver.Lease, seqs []int64) error {
	return q.try(func() error { return q.Queue.MarkInFlight(ctx, l, seqs) })
}

// Commit implements deliver.Queue.
func (q *brokenQueue) Commit(ctx context.Context, l deliver.Lease, p deliver.Progress) error {
	return q.try(func() error { return q.Queue.Commit(ctx, l, p) })
}

// witness sees every request, and that of the records of one profile none is sent for the first
// time after a later one.
type witness struct {
	http.RoundTripper
	mu     sync.Mutex
	last   map[string]int64
	seen   map[string]bool
	breach []string
}

// RoundTrip implements http.RoundTripper.
func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := w.look(r, body); err != nil {
		return nil, err
	}
	return w.RoundTripper.RoundTrip(r)
}

func (w *witness) look(r *http.Request, body []byte) error {
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		if body, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	var records []struct {
		ID         string `json:"$distinct_id"`
		Time       int64  `json:"$time"`
		Properties struct {
			ID   string `json:"distinct_id"`
			Time int64  `json:"time"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(body, &records, jsontext.AllowDuplicateNames(true)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range records {
		rec := &records[i]
		of, at := r.URL.Path+" "+rec.ID+rec.Properties.ID, max(rec.Time, rec.Properties.Time)
		if at == 0 || w.seen[fmt.Sprint(of, at)] {
			continue // of a consequence, or repeated
		}
		w.seen[fmt.Sprint(of, at)] = true
		if at < w.last[of] {
			w.breach = append(w.breach, fmt.Sprintf("%s: %d is sent for the first time after %d", of, at, w.last[of]))
		}
		w.last[of] = max(w.last[of], at)
	}
	return nil
}

// excuse lets a record of a profile be sent after later ones.
func (w *witness) excuse(id string, at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, path := range []string{"/import", "/engage"} {
		w.seen[fmt.Sprint(path+" "+id, at)] = true
	}
}

func (w *witness) faults() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.breach)
}
