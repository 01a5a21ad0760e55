package app

import (
	"context"
	"time"

	"muster/identity"
	"muster/store"
)

// Suppress puts people on the suppression list, as store.Store.Suppress does, and makes
// sure of it: once all processes know, it looks again, for ids that calls have brought to
// the profiles meanwhile. It therefore takes two seconds.
func Suppress(ctx context.Context, s *store.Store, ids []identity.ID, now func() time.Time) (store.Suppression, error) {
	first, err := s.Suppress(ctx, ids, now())
	if err != nil {
		return first, err
	}
	select {
	case <-ctx.Done():
		return first, ctx.Err()
	case <-time.After(2 * store.SuppressionSeen):
	}
	second, err := s.Suppress(ctx, ids, now())
	second.Changed += first.Changed
	return second, err
}
