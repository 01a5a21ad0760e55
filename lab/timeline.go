package lab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/app"
	"muster/deliver"
	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
	"muster/scenario"
	"muster/store"
)

// timeline is a scenario.System: the product on a database of its own, the fake Mixpanel
// behind real HTTP, and a clock that stands still.
type timeline struct {
	app   *app.App
	store *store.Store
	fake  *mixpaneltest.Server
	drop  func() error

	mu   sync.Mutex
	now  time.Time
	sent []scenario.Sent
}

func openTimeline(ctx context.Context, dsn string, setup scenario.Setup, drop func() error) (_ *timeline, err error) {
	t := &timeline{now: setup.Start, drop: drop}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	t.fake = mixpaneltest.NewServer(mixpaneltest.Options{Now: t.clock})
	if _, err := t.fake.Start("127.0.0.1:0"); err != nil {
		return nil, err
	}
	if t.store, err = store.Open(ctx, dsn); err != nil {
		return nil, err
	}
	destinations := map[string]mixpanel.Settings{scenario.Destination: {
		Token: mixpaneltest.DefaultToken, BaseURL: t.fake.URL(),
		AliasWhenKnown: new(false), // the clock stands, and only what is computed is looked at
	}}
	t.app, err = app.New(ctx, app.Options{
		Store: t.store, Identity: setup.Identity, Now: t.clock,
		Destinations: destinations,
		Watch:        func(_ string, d deliver.Destination) deliver.Destination { return &witness{d, t} },
	})
	return t, err
}

func (t *timeline) clock() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

// SetNow implements scenario.System.
func (t *timeline) SetNow(now time.Time) {
	t.mu.Lock()
	t.now = now
	t.mu.Unlock()
	t.fake.SetNow(now)
}

// Define implements scenario.System. The backfill is left to Settle: what comes in at the
// instant of the definition belongs to the slot of that instant.
func (t *timeline) Define(ctx context.Context, definitions []engine.Definition) ([]*engine.DefinitionError, error) {
	return t.app.Define(ctx, definitions)
}

// Remove implements scenario.System.
func (t *timeline) Remove(ctx context.Context, key string) error {
	found, err := t.app.Engine.Remove(ctx, key, t.clock())
	if err == nil && !found {
		err = fmt.Errorf("there is no definition %q", key)
	}
	return err
}

// DeleteProfile implements scenario.System.
func (t *timeline) DeleteProfile(ctx context.Context, id identity.ID) error {
	report, err := t.app.Engine.DeleteProfile(ctx, []identity.ID{id}, t.clock())
	if err == nil && len(report.Unknown) > 0 {
		err = fmt.Errorf("no profile has the id %s", id)
	}
	return err
}

// Ingest implements scenario.System.
func (t *timeline) Ingest(ctx context.Context, calls []engine.Received) error {
	for i := range calls {
		src, err := t.store.EnsureSource(ctx, calls[i].Source, t.clock())
		if err != nil {
			return err
		}
		calls[i].SourceID = src.ID
	}
	_, err := t.app.Engine.Ingest(ctx, calls, t.clock())
	return err
}

// Settle implements scenario.System.
func (t *timeline) Settle(ctx context.Context) error {
	if err := t.app.Settle(ctx); err != nil {
		return err
	}
	if v := t.fake.Violations(); len(v) > 0 {
		return fmt.Errorf("a rule of Mixpanel was broken: %v", v[0])
	}
	return nil
}

// Values implements scenario.System.
func (t *timeline) Values(ctx context.Context, key string) iter.Seq2[scenario.Holder, error] {
	return func(yield func(scenario.Holder, error) bool) {
		rows, err := t.store.Pool().Query(ctx, `
			SELECT v.value, array_agg(e.id_type ORDER BY e.added_at), array_agg(e.id_value ORDER BY e.added_at)
			FROM computed_values v
			JOIN computations c USING (computation_id)
			JOIN external_ids e USING (bucket, profile_id)
			WHERE c.key = $1 AND c.deleted_at IS NULL AND v.value <> 'null' AND NOT (c.kind = 'audience' AND v.value = 'false')
			GROUP BY v.bucket, v.profile_id, v.value`, key)
		if err != nil {
			yield(scenario.Holder{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			holder, err := scanHolder(rows)
			if !yield(holder, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(scenario.Holder{}, err)
		}
	}
}

func scanHolder(row pgx.CollectableRow) (h scenario.Holder, err error) {
	var raw []byte
	var types, values []string
	if err := row.Scan(&raw, &types, &values); err != nil {
		return h, err
	}
	for i := range types {
		h.IDs = append(h.IDs, identity.ID{Type: types[i], Value: values[i]})
	}
	h.Value, err = query.ParseValue(raw)
	return h, err
}

// Sent implements scenario.System.
func (t *timeline) Sent(context.Context) ([]scenario.Sent, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	sent := t.sent
	t.sent = nil
	return sent, nil
}

// Close implements scenario.System.
func (t *timeline) Close() error {
	if t.app != nil {
		t.app.Close()
	}
	if t.store != nil {
		t.store.Close()
	}
	return errors.Join(t.fake.Close(), t.drop())
}

// witness notes what a destination has acknowledged.
type witness struct {
	deliver.Destination
	timeline *timeline
}

// Send implements deliver.Destination.
func (w *witness) Send(ctx context.Context, calls []*event.Call, now time.Time) []engine.Outcome {
	outcomes := w.Destination.Send(ctx, calls, now)
	w.timeline.mu.Lock()
	defer w.timeline.mu.Unlock()
	for i, o := range outcomes {
		if o.Verdict == engine.Delivered {
			w.timeline.sent = append(w.timeline.sent, sentBy(calls[i]))
		}
	}
	return outcomes
}

// sentBy reads a computed call back.
func sentBy(c *event.Call) scenario.Sent {
	key := personas(c, "computation_key")
	s := scenario.Sent{
		Key: key, IDs: identity.Combination{UserID: c.UserID, AnonymousID: c.AnonymousID, Email: c.Email()},
		Form: engine.FormIdentify, Reason: engine.Reason(personas(c, "reason")),
	}
	value := c.Lookup(event.InTraits, key)
	if c.Type == event.Track {
		s.Form, value = engine.FormTrack, c.Lookup(event.InProperties, key)
	}
	s.Value, _ = query.ParseValue(value)
	return s
}

// personas is a text that a computed call says of its computation.
func personas(c *event.Call, name string) string {
	text, _ := event.Text(c.Lookup(event.InContext, "personas", name))
	return text
}
