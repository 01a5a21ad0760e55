package sdk_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/mixpanel/mixpaneltest"
	"muster/tests/served"
)

const (
	writeKey = "key-of-the-sdk-test"
	pagesKey = "key-of-pages-in-device-mode" // forwarded as well, but for what pages tell
)

// stepPatience bounds whatever a test waits for.
const stepPatience = 2 * time.Minute

// system is muster with a gate before it and a Mixpanel behind it.
type system struct {
	muster *served.Server
	gate   *gate
	fake   *mixpaneltest.Server
}

func startSystem(t *testing.T, program string) *system {
	t.Helper()
	dir, err := served.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &system{gate: newGate(t), fake: mixpaneltest.Start(t, mixpaneltest.Options{})}
	s.muster, err = served.New(served.Options{Program: program, Dir: dir, Log: t.Output(), Config: fmt.Sprintf(`
sources:
  - {name: app, write_key: %s}
  - {name: pages, write_key: %s}
destinations:
  - {name: mixpanel, settings: {token: %s, base_url: %q, persistence: localStorage}, sources: [pages], device_sources: [pages]}
audiences:
  - {name: Buyers, key: buyers, query: "event('Order Completed').count() >= 1"}
traits:
  - {name: Numbered, key: numbered, query: "event('Numbered').count()"}
`, writeKey, pagesKey, mixpaneltest.DefaultToken, s.fake.URL())})
	if err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() {
		if err := s.muster.Terminate(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *system) start(t *testing.T) {
	t.Helper()
	if err := s.muster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.gate.lead(t, s.muster.URL())
}

// query reads rows from muster's database.
func query[T any](t *testing.T, s *system, sql string, args ...any) []T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.muster.Database())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// limit lets the source send so many requests a second, and waits until muster knows.
func (s *system) limit(t *testing.T, rate float64) {
	t.Helper()
	type name struct{ Name string }
	if done := query[name](t, s, `UPDATE muster.sources SET rate = $1 WHERE name = 'app' RETURNING name`, rate); len(done) != 1 {
		t.Fatal("there is no source")
	}
	time.Sleep(2 * time.Second) // it looks once a second, when a request comes
}

// property is what Mixpanel holds of a user.
func (s *system) property(user, name string) any {
	p, _ := s.fake.Profile(mixpaneltest.DefaultToken, user)
	return p.Properties[name]
}

// eventually waits until there is nothing to complain about.
func eventually(t *testing.T, complaint func() string) {
	t.Helper()
	for deadline := time.Now().Add(stepPatience); ; time.Sleep(20 * time.Millisecond) {
		what := complaint()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}
