package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster/engine"
	"muster/query"
	"muster/store"
)

// Retell tells again, and takes back, what is to be (see engine.Engine.StepRetelling), and
// returns when there is nothing left. What it says is queued.
func (a *App) Retell(ctx context.Context) error {
	for {
		r, err := a.Engine.StepRetelling(ctx, a.now())
		if err != nil || r == nil {
			return err
		}
		if r.Over {
			a.log.Info("retelling complete", "kind", r.Kind, "key", r.Connection.Computation.Key, "destination", r.Connection.Destination.Name,
				"profiles", r.Profiles, "messages", r.Messages)
		}
	}
}

// retellPoll is how late a resync or cleanup from another process is seen.
const retellPoll = 5 * time.Second

func (a *App) retellLoop(ctx context.Context) error {
	for {
		if err := a.Retell(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("telling again failed, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retellPoll):
		}
	}
}

// of checks that a key is one of a kind.
func of(ctx context.Context, s *store.Store, kind query.Purpose, key string) (*engine.Engine, error) {
	e, err := engineOn(s)
	if err != nil {
		return nil, err
	}
	c, err := e.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	if comp := c.ByKey(key); comp == nil || comp.Kind != kind {
		return nil, fmt.Errorf("%s: %w", key, engine.ErrUnknownKey)
	}
	return e, nil
}

// Enable lets a computation that was disabled be brought up to date again, or disables one,
// see engine.Engine.Enable; false: it was so already.
func Enable(ctx context.Context, s *store.Store, kind query.Purpose, key string, enabled bool, now time.Time) (bool, error) {
	e, err := of(ctx, s, kind, key)
	if err != nil {
		return false, err
	}
	changed, err := e.Enable(ctx, key, enabled, now)
	if bad := (*engine.DefinitionError)(nil); errors.As(err, &bad) {
		return false, bad
	}
	return changed, err
}

// Resync starts to tell everything again, to one destination or, if it is empty, to all,
// see engine.Engine.Resync. The answer says to how many.
func Resync(ctx context.Context, s *store.Store, kind query.Purpose, key, destination string, now time.Time) (int, error) {
	e, err := of(ctx, s, kind, key)
	if err != nil {
		return 0, err
	}
	return e.Resync(ctx, key, destination, now)
}
