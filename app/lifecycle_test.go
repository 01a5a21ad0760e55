package app_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"muster/app"
	"muster/engine"
	"muster/identity"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

// While it is disabled nothing is computed and nothing told, and its values rest, for those
// who read it too. Enabled again, it tells the differences and nothing else.
func TestDisabledRests(t *testing.T) {
	l := newLife(t)
	pros := audience("pros", "trait('plan') = 'pro'", to("one", "", ""))
	l.want("refused", l.defines(pros, audience("keen", "trait('pros') = 'true' AND trait('age') >= 18", to("one", "", ""))), "")
	l.says("kim", `{"plan":"pro"}`, "lee", `{"plan":"free"}`, "max", `{"plan":"pro"}`)
	l.settle()
	l.told()

	l.want("refused", l.defines(func() engine.Definition { d := pros; d.Disabled = true; return d }()), "")
	l.pass(time.Minute)
	l.says("kim", `{"plan":"free"}`, "lee", `{"plan":"pro"}`, "max", `{"email":"max@x.test"}`)
	l.settle()
	l.want("told while disabled", l.told(), []string{})
	l.says("kim", `{"age":20}`) // still a pro for those who read it
	l.want("told by a reader", l.told(), []string{`one keen user:kim true entered`})
	l.want("status", l.number(`SELECT count(*) FROM computations WHERE key = 'pros' AND status = 'disabled'`), 1)
	l.want("leaves kept up", l.number(`SELECT count(*) FROM version_leaves JOIN computations USING (computation_id) WHERE key = 'pros'`), 0)
	if _, err := app.RunNow(t.Context(), l.store, query.Audience, "pros", l.now); err == nil || !strings.Contains(err.Error(), "disabled") {
		t.Error(err)
	}
	if _, err := app.Resync(t.Context(), l.store, query.Audience, "pros", "", l.now); err == nil || !strings.Contains(err.Error(), "enable it first") {
		t.Error(err)
	}

	// A definition that says nothing new, and one that does, both wait.
	edited := pros
	edited.Disabled, edited.Query = true, "trait('plan') = 'pro' OR trait('plan') = 'trial'"
	l.want("refused", l.defines(edited), "")
	l.settle()
	l.want("told of an edit while disabled", l.told(), []string{})

	l.pass(time.Minute)
	if changed, err := app.Enable(t.Context(), l.store, query.Audience, "pros", true, l.now); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if changed, err := app.Enable(t.Context(), l.store, query.Audience, "pros", true, l.now); err != nil || changed {
		t.Fatal(changed, err)
	}
	l.says("kim", `{"plan":"free","city":"Porto"}`)
	l.want("told before the backfill", l.told(), []string{})
	l.settle()
	got := make(map[string]bool)
	for _, text := range l.told() {
		got[text] = true
	}
	l.want("told", got, map[string]bool{
		"one pros user:kim false exited": true, "one keen user:kim false exited": true, "one pros user:lee true entered": true,
		"one pros user:max|email:max@x.test true new_external_id": true, // an id that has not heard yet
	})
	l.want("in Mixpanel", l.property("one", "kim", "pros")+" "+l.property("one", "lee", "pros")+" "+l.property("one", "max", "pros"), "false true true")
}

// A definition that is created disabled is not computed, and readers see the plain trait.
func TestCreatedDisabled(t *testing.T) {
	l := newLife(t)
	l.says("kim", `{"plan":"pro"}`)
	pros := audience("pros", "trait('plan') = 'pro'", to("one", "", ""))
	pros.Disabled = true
	l.want("refused", l.defines(pros), "")
	l.settle()
	l.want("told", l.told(), []string{})
	pros.Disabled = false
	l.want("refused", l.defines(pros), "")
	l.settle()
	l.want("told", l.told(), []string{"one pros user:kim true first_sync"})
	l.want("versions", l.number(`SELECT max(version) FROM computation_versions`), 1)
}

// Nobody can be disabled in the middle of a backfill: it is told when to try again.
func TestDisableDuringBackfill(t *testing.T) {
	l := newLife(t)
	l.says("kim", `{"plan":"pro"}`)
	l.want("refused", l.defines(audience("pros", "trait('plan') = 'pro'")), "")
	if running, err := l.app.Engine.BeginBackfill(t.Context(), latestSlot, l.now); err != nil || !running {
		t.Fatal(running, err)
	}
	_, err := app.Enable(t.Context(), l.store, query.Audience, "pros", false, l.now)
	if bad := (*engine.DefinitionError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "locked") {
		t.Fatal(err)
	}
	l.settle()
	if changed, err := app.Enable(t.Context(), l.store, query.Audience, "pros", false, l.now); err != nil || !changed {
		t.Fatal(changed, err)
	}
}

// A resync tells one destination, or all, everything again: each once, whatever dies
// meanwhile, as messages that Mixpanel does not take for repetitions, and not what was
// told after it began.
func TestResyncTellsEverythingAgain(t *testing.T) {
	l := newLife(t)
	l.want("refused", l.defines(audience("pros", "trait('plan') = 'pro'", to("one", engine.EmitBoth, ""), to("two", "", ""))), "")
	for i := range 20 {
		l.says(fmt.Sprintf("u%02d", i), `{"plan":"pro"}`)
	}
	l.settle()
	l.says("u00", `{"plan":"free"}`, "u99", `{"plan":"free"}`)
	l.settle()
	l.told()
	events := l.fake.EventCount("one", mixpaneltest.Deduped)

	l.pass(time.Minute)
	if n, err := app.Resync(t.Context(), l.store, query.Audience, "pros", "one", l.now); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if _, err := app.Resync(t.Context(), l.store, query.Audience, "pros", "", l.now); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Fatal(err)
	}
	l.pass(time.Second)
	l.says("new", `{"plan":"pro"}`) // hears it now, and not again
	for range 3 {
		if _, err := l.app.Engine.StepRetelling(t.Context(), l.now); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := l.store.Runs(t.Context(), store.RunFilter{Kind: "resync"})
	if err != nil || len(runs) != 1 || runs[0].FinishedAt != nil || runs[0].Percent == nil || *runs[0].Percent == 0 || *runs[0].Percent >= 100 || runs[0].Profiles == 0 {
		t.Fatalf("%+v %v", runs, err)
	}
	l.restart()
	l.settle()
	told := make(map[string]int)
	for _, text := range l.told() {
		told[text]++
	}
	want := map[string]int{
		"one pros user:new true entered": 2, "two pros user:new true entered": 1, // both is two messages
		"one pros user:u00 false resync": 1, // the property; it is no news that he left
	}
	for i := 1; i < 20; i++ {
		want[fmt.Sprintf("one pros user:u%02d true resync", i)] = 2
	}
	l.want("told", told, want)
	l.want("new events", l.fake.EventCount("one", mixpaneltest.Deduped)-events, 20)
	l.want("events that Mixpanel took for repetitions", l.fake.EventCount("one", mixpaneltest.Raw)-l.fake.EventCount("one", mixpaneltest.Deduped), 0)
	if runs, err = l.store.Runs(t.Context(), store.RunFilter{Kind: "resync"}); err != nil || runs[0].FinishedAt == nil || runs[0].Profiles != 20 {
		t.Fatalf("%+v %v", runs, err)
	}

	if n, err := app.Resync(t.Context(), l.store, query.Audience, "pros", "", l.now.Add(time.Second)); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	l.pass(2 * time.Second)
	l.settle()
	l.want("told to both", len(l.told()), 3*20+2)
	for name, wrong := range map[string]func() error{
		"not told to": func() error {
			_, err := app.Resync(t.Context(), l.store, query.Audience, "pros", "three", l.now)
			return err
		},
		engine.ErrUnknownKey.Error(): func() error {
			_, err := app.Resync(t.Context(), l.store, query.Trait, "pros", "", l.now)
			return err
		},
	} {
		if err := wrong(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
	}
}

// Whoever is merged during a resync from where it has not been to where it was is told too.
func TestResyncReachesThoseWhoMerge(t *testing.T) {
	l := newLife(t)
	pros := audience("pros", "trait('plan') = 'pro'", to("one", "", ""))
	pros.IncludeAnonymous = true
	l.want("refused", l.defines(pros), "")
	l.says("kim", `{"plan":"pro"}`)
	for i := range 30 {
		l.says(fmt.Sprintf("anon:a%02d", i), `{"plan":"pro"}`)
	}
	l.settle()
	l.told()
	l.pass(time.Minute)
	if _, err := l.app.Engine.Resync(t.Context(), "pros", "one", l.now); err != nil {
		t.Fatal(err)
	}
	began := l.now
	for range 6 {
		l.pass(time.Second)
		if _, err := l.app.Engine.StepRetelling(t.Context(), l.now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 { // some of them come from before the walk to behind it, or the other way
		l.says(fmt.Sprintf("kim+a%02d", i*7), `{}`)
	}
	l.settle()
	l.want("lines of the ledger that have not heard again", l.number(`SELECT count(*) FROM ledger WHERE told_at < $1`, began), 0)
}

// What was told is taken back when a connection or its computation is removed: in chunks,
// through the queue, which stays deliverable, whatever dies meanwhile.
func TestCleanups(t *testing.T) {
	l := newLife(t)
	spent := engine.Definition{
		Key: "spent", Kind: query.Trait, Query: "event('Order').sum(property('amount'))", IncludeHistorical: true,
		Connections: []engine.ConnectionDefinition{to("one", "", engine.CleanupUnset)},
	}
	l.want("refused", l.defines(
		audience("exits", "trait('plan') = 'pro'", to("one", engine.EmitBoth, engine.CleanupExit), to("two", "", "")),
		audience("unsets", "trait('plan') = 'pro'", to("one", engine.EmitBoth, engine.CleanupUnset)),
		audience("stays", "trait('plan') = 'pro'", to("one", "", "")),
		spent,
	), "")
	for i := range 10 {
		l.says(fmt.Sprintf("u%d", i), fmt.Sprintf(`{"plan":"pro","email":"u%d@x.test"}`, i))
	}
	l.settle()
	l.says("u0", `{"email":"u0@y.test"}`, "u9", `{"plan":"free"}`)
	l.settle()
	l.told()
	exited := func() (n int) {
		for _, e := range l.fake.Events("one", mixpaneltest.Deduped) {
			if e.Name == "Audience Exited" && e.Properties["exits"] == false {
				n++
			}
		}
		return n
	}
	l.want("exits before", exited(), 1)

	l.pass(time.Minute)
	for _, key := range []string{"exits", "unsets", "stays"} {
		if found, err := app.Remove(t.Context(), l.store, key, "", l.now); err != nil || !found {
			t.Fatal(found, err)
		}
	}
	for range 2 {
		if _, err := l.app.Engine.StepRetelling(t.Context(), l.now); err != nil {
			t.Fatal(err)
		}
	}
	l.want("a reuse while it is taken back", l.defines(func() engine.Definition {
		d := audience("exits", "trait('plan') = 'pro'", to("one", "", ""))
		d.ReuseKey = true
		return d
	}()), "exits: what one was told under this key is being taken back; try again when that is complete (muster run list --kind cleanup)")
	l.restart()
	l.settle()
	l.want("exits after", exited(), 11) // nine people who were in, of whom one has two emails
	for i := range 10 {
		user := fmt.Sprintf("u%d", i)
		l.want(user, l.property("one", user, "exits")+" "+l.property("one", user, "unsets")+" "+l.property("one", user, "stays")+" "+l.property("two", user, "exits"),
			fmt.Sprintf("false (none) %v %[1]v", i < 9))
	}
	unset := 0
	for _, text := range l.told() {
		if strings.HasPrefix(text, "one unsets ") {
			unset++
			if strings.Contains(text, "email") || !strings.HasSuffix(text, "null cleanup") {
				t.Error(text)
			}
		}
	}
	l.want("unset, once for each distinct id", unset, 10)
	l.want("values became traits", l.number(`SELECT count(*) FROM traits WHERE key = 'exits' AND value = 'true'`), 9)

	// Only a connection is removed; and another cleanup is asked for than the definition says.
	l.tracks("u1", "Order", `{"amount":5}`)
	l.settle()
	l.want("spent", l.property("one", "u1", "spent"), "5")
	spent.Connections = nil
	l.pass(time.Minute)
	l.want("refused", l.defines(spent), "")
	l.settle()
	l.want("spent without a connection", l.property("one", "u1", "spent"), "(none)")
	spent.Connections = []engine.ConnectionDefinition{to("one", "", engine.CleanupUnset)}
	l.want("refused", l.defines(spent), "")
	l.settle()
	l.want("spent again", l.property("one", "u1", "spent"), "5")
	if _, err := app.Remove(t.Context(), l.store, "spent", engine.CleanupNone, l.now); err != nil {
		t.Fatal(err)
	}
	l.settle()
	l.want("spent, kept", l.property("one", "u1", "spent"), "5")
	l.want("cleanups under way", l.number(`SELECT count(*) FROM retellings WHERE finished_at IS NULL`), 0)
}

// A key is not given away unasked: not that of a deleted computation, and not that of a
// trait that calls set. Plan and apply say the same.
func TestKeysAreNotReusedUnasked(t *testing.T) {
	l := newLife(t)
	pros := audience("pros", "trait('plan') = 'pro'")
	plan := audience("plan", "event('Order').count() >= 1")
	l.says("kim", `{"plan":"pro","gone":1}`)
	l.says("kim", `{"gone":null}`)
	l.want("refused", l.defines(pros), "")
	l.settle()
	if _, err := app.Remove(t.Context(), l.store, "pros", "", l.now); err != nil {
		t.Fatal(err)
	}
	check := func(want map[string]string, defs ...engine.Definition) {
		t.Helper()
		p, err := app.Plan(t.Context(), l.store, engine.Desired{Definitions: defs}, &engine.DryRun{}, 0, l.now)
		if err != nil {
			t.Fatal(err)
		}
		planned := make(map[string]string)
		for _, r := range p.Refused() {
			planned[r.Key] = r.Message
		}
		refused, err := l.app.Define(t.Context(), defs)
		if err != nil {
			t.Fatal(err)
		}
		defined := make(map[string]string)
		for _, r := range refused {
			defined[r.Key] = r.Message
		}
		l.want("plan and define", planned, defined)
		for key, text := range want {
			if !strings.Contains(defined[key], text) || !strings.Contains(defined[key], "reuse_key: true") {
				t.Errorf("%s: %q does not say %q", key, defined[key], text)
			}
			delete(defined, key)
		}
		l.want("refused besides", defined, map[string]string{})
	}
	check(map[string]string{"pros": "is deleted", "plan": "a trait of this name"}, pros, plan, audience("gone", "event('Order').count() >= 1"))
	pros.ReuseKey, plan.ReuseKey = true, true
	check(nil, pros, plan)
	pros.ReuseKey = false // it exists now
	check(nil, pros)
}

// A destination that comes later hears what holds, and no other one hears it again; so do
// a new id, and the ids of somebody who is merged in; an edit tells the differences.
func TestLedgerTellsDifferences(t *testing.T) {
	l := newLife(t)
	pros := audience("pros", "trait('plan') = 'pro'", to("one", "", ""))
	pros.IncludeAnonymous = true
	l.want("refused", l.defines(pros), "")
	l.says("kim", `{"plan":"pro"}`, "lee", `{"plan":"free"}`, "max", `{"plan":"pro","age":17}`)
	l.settle()
	l.told()

	pros.Connections = append(pros.Connections, to("two", "", ""))
	l.want("refused", l.defines(pros), "")
	l.settle()
	got := l.told()
	if len(got) == 2 && got[0] > got[1] {
		got[0], got[1] = got[1], got[0]
	}
	l.want("told to a late destination", got, []string{"two pros user:kim true first_sync", "two pros user:max true first_sync"})

	l.says("kim", `{"email":"kim@x.test"}`)
	l.want("told to a new id", l.told(), []string{"one pros user:kim|email:kim@x.test true new_external_id", "two pros user:kim|email:kim@x.test true new_external_id"})

	l.says("anon:a1", `{"city":"Porto"}`)
	l.want("told of a stranger", l.told(), []string{})
	l.says("kim+a1", `{}`)
	l.want("told after a merge", l.told(), []string{"one pros anon:a1 true merge", "two pros anon:a1 true merge"})

	pros.Query = "trait('plan') = 'pro' AND NOT trait('age') < 18"
	l.want("refused", l.defines(pros), "")
	l.settle()
	l.want("told after an edit", l.told(), []string{"one pros user:max false definition_edit", "two pros user:max false definition_edit"})
	l.want("in Mixpanel", l.property("two", "kim", "pros")+" "+l.property("two", "max", "pros"), "true false")
}

// A destination that leaves the configuration and comes back is told from new, as one that
// nobody ever told anything; the other one hears nothing of it.
func TestDestinationComesBack(t *testing.T) {
	l := newLife(t)
	both := audience("pros", "trait('plan') = 'pro'", to("one", "", ""), to("two", "", engine.CleanupExit))
	l.want("refused", l.defines(both), "")
	l.says("kim", `{"plan":"pro"}`, "lee", `{"plan":"free"}`)
	l.settle()
	l.told()
	l.restart("two")
	alone := both
	alone.Connections = both.Connections[:1]
	l.want("refused", l.defines(alone), "")
	l.says("max", `{"plan":"pro"}`, "kim", `{"plan":"free"}`)
	l.settle()
	l.want("told to one", l.told(), []string{"one pros user:max true entered", "one pros user:kim false exited"})
	l.restart()
	l.want("refused", l.defines(both), "")
	l.says("kim", `{"plan":"pro"}`)
	l.settle()
	got := make(map[string]int)
	for _, text := range l.told() {
		got[text]++
	}
	l.want("told when it is back", got, map[string]int{
		"one pros user:kim true entered": 1, "two pros user:kim true entered": 1, "two pros user:max true first_sync": 1,
	})
	l.want("in Mixpanel", l.property("two", "kim", "pros")+" "+l.property("two", "max", "pros")+" "+l.property("two", "lee", "pros"), "true true (none)")
}

// What resyncs and cleanups say of suppressed people is withheld, and follows when they are
// taken back.
func TestRetellingsOfSuppressedPeopleFollow(t *testing.T) {
	l := newLife(t)
	l.want("refused", l.defines(
		audience("unsets", "trait('plan') = 'pro'", to("one", "", engine.CleanupUnset)),
		audience("exits", "trait('plan') = 'pro'", to("one", engine.EmitBoth, engine.CleanupExit)),
		audience("again", "trait('plan') = 'pro'", to("one", "", ""), to("two", engine.EmitTrack, "")),
	), "")
	l.settle()
	l.says("kim", `{"plan":"pro"}`, "lee", `{"plan":"pro"}`)
	l.settle()
	kim := []identity.ID{{Type: identity.UserID, Value: "kim"}}
	if _, err := l.store.Suppress(t.Context(), kim, l.now); err != nil {
		t.Fatal(err)
	}
	l.pass(time.Hour)
	for _, key := range []string{"unsets", "exits"} {
		if found, err := app.Remove(t.Context(), l.store, key, "", l.now); err != nil || !found {
			t.Fatal(found, err)
		}
	}
	if n, err := l.app.Engine.Resync(t.Context(), "again", "", l.now); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	l.settle()
	entered := func(user string) (n int) {
		for _, e := range l.fake.Activity("two", user) {
			if e.Name == "Audience Entered" {
				n++
			}
		}
		return n
	}
	held := func(user string) string {
		return fmt.Sprint(l.property("one", user, "unsets"), " ", l.property("one", user, "exits"), " ", entered(user))
	}
	l.want("lee", held("lee"), "(none) false 2")
	l.want("kim, suppressed", held("kim"), "true true 1")
	if _, err := app.Unsuppress(t.Context(), l.store, kim, func() time.Time { return l.now }); err != nil {
		t.Fatal(err)
	}
	l.settle()
	l.want("kim, taken back", held("kim"), "(none) false 2")
}

// An edit of how a connection tells holds for later changes only: nothing is told again, what is
// queued stays as it is, also as a dead letter, and what was told as a property is one still.
func TestEditsOfConnectionsHoldForLaterChanges(t *testing.T) {
	l := newLife(t)
	define := func(c engine.ConnectionDefinition) {
		t.Helper()
		l.want("refused", l.defines(audience("pros", "trait('plan') = 'pro'", c)), "")
		l.settle()
	}
	events := func() []string {
		names := []string{}
		for _, e := range l.fake.Events("one", mixpaneltest.Deduped) {
			names = append(names, e.DistinctID+" "+e.Name)
		}
		slices.Sort(names)
		return names
	}
	define(to("one", engine.EmitIdentify, ""))
	l.says("kim", `{"plan":"pro"}`)
	l.settle()
	l.told()
	named := to("one", engine.EmitTrack, engine.CleanupUnset)
	named.EnteredEvent = "Went Pro"
	define(named)
	l.want("told after the edit", l.told(), []string{})
	l.says("lee", `{"plan":"pro"}`, "kim", `{"plan":"free"}`)
	renamed := named
	renamed.EnteredEvent = "Became Pro"
	l.want("refused", l.defines(audience("pros", "trait('plan') = 'pro'", renamed)), "") // before it is delivered
	l.settle()
	l.want("events", events(), []string{"kim Audience Exited", "lee Went Pro"})
	l.want("the property, which no event changes", l.property("one", "kim", "pros"), "true")

	l.fake.Allow(mixpaneltest.RuleInvalid)
	l.fake.SetFaults(mixpaneltest.Fault{Endpoint: mixpaneltest.Import, Kind: mixpaneltest.FaultPartial, Indexes: []int{0}})
	l.says("pat", `{"plan":"pro"}`)
	l.settle()
	define(named)
	letters, err := l.store.DeadLetters(t.Context(), store.LetterFilter{})
	if err != nil || len(letters) != 1 || letters[0].Call.Event != "Became Pro" {
		t.Fatalf("%+v %v", letters, err)
	}
	if _, err := l.store.RetryDeadLetters(t.Context(), store.LetterFilter{}, l.now); err != nil {
		t.Fatal(err)
	}
	l.settle()
	l.want("events", events(), []string{"kim Audience Exited", "lee Went Pro", "pat Became Pro"})

	l.pass(time.Minute)
	if found, err := app.Remove(t.Context(), l.store, "pros", "", l.now); err != nil || !found {
		t.Fatal(found, err)
	}
	l.settle()
	l.want("the property, taken back", l.property("one", "kim", "pros"), "(none)")
}
