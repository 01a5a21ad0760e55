package engine

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"
)

// Enable lets a computation that was disabled be brought up to date, by a backfill, and
// tells only what has become different meanwhile; or it disables one: nothing is computed
// and nothing told any more, and its values stay as they are for those who read them. It
// answers false if that is so already. The error of an unknown key is ErrUnknownKey, that
// of one whose backfill is under way a *DefinitionError.
func (e *Engine) Enable(ctx context.Context, key string, enabled bool, now time.Time) (bool, error) {
	changed := false
	err := e.repo.Transact(ctx, func(tx Tx) error {
		if err := tx.CloseCatalog(ctx); err != nil {
			return err
		}
		c, err := tx.Catalog(ctx)
		if err != nil {
			return err
		}
		comp := c.byKey[key]
		if comp == nil {
			return ErrUnknownKey
		}
		def := comp.definition()
		if changed = def.Disabled == enabled; !changed {
			return nil
		}
		def.Disabled = !enabled
		return define(ctx, tx, c, def, now)
	})
	if err != nil {
		return false, fmt.Errorf("%s: %w", key, err)
	}
	return changed, nil
}

// Remove deletes a computation. Its last values stay on the profiles as plain traits, and
// readers go on with them. What destinations are told of that is what its connections say
// (Connection.Cleanup), done by StepRetelling. It answers false if there is none.
func (e *Engine) Remove(ctx context.Context, key string, now time.Time) (bool, error) {
	return e.RemoveWith(ctx, key, "", now)
}

// RemoveWith is Remove with another cleanup than the connections say; empty: what they say.
func (e *Engine) RemoveWith(ctx context.Context, key string, cleanup Cleanup, now time.Time) (bool, error) {
	if cleanup != "" && !cleanup.Valid() {
		return false, fmt.Errorf("remove %s: the cleanup must be none, exit or unset, not %q", key, cleanup)
	}
	found := false
	err := e.repo.Transact(ctx, func(tx Tx) error {
		if err := tx.CloseCatalog(ctx); err != nil {
			return err
		}
		c, err := tx.Catalog(ctx)
		if err != nil {
			return err
		}
		comp := c.byKey[key]
		if found = comp != nil; !found {
			return nil
		}
		var first *Backfill
		if comp.Current == nil {
			if first = c.Backfill; first == nil || comp.Next.BackfillID != first.ID {
				first = &Backfill{MaxProfileID: math.MaxInt64} // it has not begun
			}
		}
		if err := tx.DeleteComputation(ctx, comp, first, now); err != nil {
			return err
		}
		for _, conn := range comp.Connections {
			if err := cleanUp(ctx, tx, conn, cmp.Or(cleanup, conn.Cleanup), now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("remove %s: %w", key, err)
	}
	return found, nil
}
