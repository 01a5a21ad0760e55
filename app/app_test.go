package app_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"muster/app"
	"muster/demo"
	"muster/engine"
	"muster/identity"
	"muster/ingest"
	"muster/internal/pgtest"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/store"
)

const token = "tok"

// The expected figures were computed from the log by a plain script.
func TestOnlineRetailFigures(t *testing.T) {
	ctx := t.Context()
	t0 := time.Date(2010, 12, 1, 0, 0, 0, 0, time.UTC)
	now := t0
	fake := mixpaneltest.Start(t, mixpaneltest.Options{
		Projects: []mixpaneltest.Project{{Token: token}},
		Now:      func() time.Time { return now },
	})
	s := store.New(pgtest.New(t))
	a, err := app.New(ctx, app.Options{
		Store: s, Identity: identity.DefaultSettings(),
		Destinations: map[string]mixpanel.Settings{"mixpanel": {Token: token, BaseURL: fake.URL()}},
		Now:          func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	told := []engine.ConnectionDefinition{{Destination: "mixpanel"}}
	refused, err := a.Define(ctx, []engine.Definition{
		{Key: "active_7d", Kind: query.Audience, IncludeHistorical: true, Connections: told, Query: "event('Order Completed').within(7 days).count() >= 1"},
		{Key: "refunder", Kind: query.Audience, IncludeHistorical: true, Connections: told, Query: "event('Order Refunded').count() >= 1 AND event('Order Completed').count() >= 1"},
		{Key: "ltv", Kind: query.Trait, IncludeHistorical: true, Connections: told, Query: "event('Order Completed').sum(property('revenue'))"},
	})
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	for _, step := range []struct {
		after            time.Duration
		active, refunder int
		ltv              string
		traits           int
	}{
		{90*24*time.Hour + 12*time.Hour, 260, 456, "1599809.21", 1692},
		{97*24*time.Hour + 12*time.Hour, 240, 504, "1721131.01", 1799},
	} {
		now = t0.Add(step.after)
		src, err := s.EnsureSource(ctx, "import", now)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		summary, err := ingest.Import{Sink: upTo{a.Sink(), now}, SourceID: src.ID, Now: func() time.Time { return now }}.Run(ctx, bytes.NewReader(demo.Log))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v in %v", summary, time.Since(began))
		began = time.Now()
		if err := a.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		t.Logf("settled in %v", time.Since(began))
		var active, refunder, traits int
		var ltv string
		err = s.Pool().QueryRow(ctx, `
			SELECT count(*) FILTER (WHERE key = 'active_7d' AND value = 'true'), count(*) FILTER (WHERE key = 'refunder' AND value = 'true'),
				round(sum(value::text::numeric) FILTER (WHERE key = 'ltv'), 2)::text, count(*) FILTER (WHERE key = 'ltv')
			FROM computed_values JOIN computations USING (computation_id)`).Scan(&active, &refunder, &ltv, &traits)
		if err != nil {
			t.Fatal(err)
		}
		if active != step.active || refunder != step.refunder || ltv != step.ltv || traits != step.traits {
			t.Errorf("at %v: active_7d %d, refunder %d, ltv %s of %d; want %+v", now, active, refunder, ltv, traits, step)
		}
	}
}

// upTo leaves calls out whose time has not come.
type upTo struct {
	ingest.Sink
	now time.Time
}

func (u upTo) Ingest(ctx context.Context, items []ingest.Item) ([]ingest.Result, error) {
	var due []ingest.Item
	for _, i := range items {
		if !i.Call.OriginalTimestamp.After(u.now) {
			due = append(due, i)
		}
	}
	if len(due) > 0 {
		if _, err := u.Sink.Ingest(ctx, due); err != nil {
			return nil, err
		}
	}
	return make([]ingest.Result, len(items)), nil
}
