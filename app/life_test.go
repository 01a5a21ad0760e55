package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

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

// life is a Muster with two Mixpanel projects, one and two, whose clock the test moves.
type life struct {
	*testing.T
	app   *app.App
	fake  *mixpaneltest.Server
	store *store.Store
	now   time.Time
	seen  int64 // in the queue
	calls int
}

func newLife(t *testing.T) *life {
	t.Helper()
	l := &life{T: t, store: store.New(pgtest.New(t)), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	l.fake = mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: "one"}, {Token: "two"}}})
	l.fake.SetNow(l.now)
	l.restart()
	return l
}

// restart begins anew with what is stored, as after a kill, without some destinations.
func (l *life) restart(without ...string) {
	l.Helper()
	if l.app != nil {
		l.app.Close()
	}
	destinations := map[string]mixpanel.Settings{"one": {Token: "one", BaseURL: l.fake.URL()}, "two": {Token: "two", BaseURL: l.fake.URL()}}
	for _, name := range without {
		delete(destinations, name)
	}
	var err error
	l.app, err = app.New(l.Context(), app.Options{
		Store: l.store, Identity: identity.DefaultSettings(), Now: func() time.Time { return l.now }, Destinations: destinations,
	})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(l.app.Close)
	l.app.Engine.SetChunk(3, 1)
}

func (l *life) pass(d time.Duration) {
	l.now = l.now.Add(d)
	l.fake.SetNow(l.now)
}

// says takes identify calls in: the user, and his traits as JSON.
func (l *life) says(pairs ...string) {
	l.Helper()
	for i := 0; i < len(pairs); i += 2 {
		l.calls++
		c := &event.Call{
			Type: event.Identify, MessageID: fmt.Sprintf("c%d", l.calls), UserID: pairs[i], Traits: jsontext.Value(pairs[i+1]),
			Timestamp: l.now, ReceivedAt: l.now,
		}
		if anonymous, ok := strings.CutPrefix(pairs[i], "anon:"); ok {
			c.UserID, c.AnonymousID = "", anonymous
		}
		if user, anonymous, ok := strings.Cut(pairs[i], "+"); ok {
			c.UserID, c.AnonymousID = user, anonymous
		}
		if _, err := l.app.Engine.Ingest(l.Context(), []engine.Received{{Call: c}}, l.now); err != nil {
			l.Fatal(err)
		}
	}
}

// take takes a call in.
func (l *life) take(text string) {
	l.Helper()
	l.calls++
	c, err := event.Decode(fmt.Appendf(nil, `{"messageId":"c%d",%s`, l.calls, text[1:]), event.Envelope{ReceivedAt: l.now})
	if err != nil {
		l.Fatal(err)
	}
	if _, err := l.app.Engine.Ingest(l.Context(), []engine.Received{{Call: c}}, l.now); err != nil {
		l.Fatal(err)
	}
}

// tracks takes a track call in, whose properties are JSON or empty.
func (l *life) tracks(user, name, properties string) {
	l.Helper()
	l.calls++
	c := &event.Call{Type: event.Track, MessageID: fmt.Sprintf("c%d", l.calls), UserID: user, Event: name, Timestamp: l.now, ReceivedAt: l.now}
	if properties != "" {
		c.Properties = jsontext.Value(properties)
	}
	if _, err := l.app.Engine.Ingest(l.Context(), []engine.Received{{Call: c}}, l.now); err != nil {
		l.Fatal(err)
	}
}

// defines creates or edits, and answers what was refused.
func (l *life) defines(defs ...engine.Definition) string {
	l.Helper()
	refused, err := l.app.Define(l.Context(), defs)
	if err != nil {
		l.Fatal(err)
	}
	var texts []string
	for _, r := range refused {
		texts = append(texts, r.Error())
	}
	return strings.Join(texts, "\n")
}

func (l *life) settle() {
	l.Helper()
	if err := l.app.Settle(l.Context()); err != nil {
		l.Fatal(err)
	}
}

// told is what was queued since it was asked last: destination, key, ids, value, reason.
func (l *life) told() []string {
	l.Helper()
	rows, err := l.store.Pool().Query(l.Context(), `
		SELECT q.seq, d.name || ' ' || c.key || ' ' || q.ids || ' ' || q.value || ' ' || q.reason
		FROM queue q JOIN destinations d USING (destination_id) JOIN connections n USING (connection_id) JOIN computations c USING (computation_id)
		WHERE q.seq > $1 AND q.form IN ('identify', 'track') ORDER BY q.seq`, l.seen)
	if err != nil {
		l.Fatal(err)
	}
	told := []string{}
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&l.seen, &text}, func() error { told = append(told, text); return nil }); err != nil {
		l.Fatal(err)
	}
	return told
}

func (l *life) want(what string, got any, want any) {
	l.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		l.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func (l *life) number(statement string, args ...any) (n int) {
	l.Helper()
	if err := l.store.Pool().QueryRow(l.Context(), statement, args...).Scan(&n); err != nil {
		l.Fatal(err)
	}
	return n
}

// property is what a project holds of a user.
func (l *life) property(token, user, key string) string {
	p, _ := l.fake.Profile(token, user)
	v, ok := p.Properties[key]
	if !ok {
		return "(none)"
	}
	return fmt.Sprint(v)
}

func audience(key, text string, told ...engine.ConnectionDefinition) engine.Definition {
	return engine.Definition{Key: key, Kind: query.Audience, Query: text, IncludeHistorical: true, Connections: told}
}

func to(destination string, emit engine.Emit, cleanup engine.Cleanup) engine.ConnectionDefinition {
	return engine.ConnectionDefinition{Destination: destination, Emit: emit, Cleanup: cleanup}
}
