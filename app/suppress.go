package app

import (
	"context"
	"time"

	"muster/engine"
	"muster/identity"
	"muster/store"
)

// Suppress puts people on the suppression list, as store.Store.Suppress does, and makes
// sure of it: once all processes know, it looks again, for ids that calls have brought to
// the profiles meanwhile. It therefore takes two seconds.
func Suppress(ctx context.Context, s *store.Store, ids []identity.ID, now func() time.Time) (store.Suppression, error) {
	return twice(ctx, func() (store.Suppression, error) { return s.Suppress(ctx, ids, now()) })
}

// SuppressEach is Suppress for many people at once, see store.Store.SuppressEach.
func SuppressEach(ctx context.Context, s *store.Store, ids []identity.ID, now func() time.Time) (store.Suppression, error) {
	return twice(ctx, func() (store.Suppression, error) { return s.SuppressEach(ctx, ids, now()) })
}

func twice(ctx context.Context, suppress func() (store.Suppression, error)) (store.Suppression, error) {
	first, err := suppress()
	if err != nil {
		return first, err
	}
	select {
	case <-ctx.Done():
		return first, ctx.Err()
	case <-time.After(2 * store.SuppressionSeen):
	}
	second, err := suppress()
	second.Changed += first.Changed
	return second, err
}

// Unsuppress takes people off the suppression list, as store.Store.Unsuppress does, queues
// again what was not told because they were on it, and decides what came due meanwhile:
// values that only time or a definition has changed. Those of definitions with a schedule
// follow with their next slot.
func Unsuppress(ctx context.Context, s *store.Store, ids []identity.ID, now func() time.Time) (store.Suppression, error) {
	done, owners, err := s.Unsuppress(ctx, ids)
	if err != nil {
		return done, err
	}
	rules, err := identity.Settings{}.Compile()
	if err != nil {
		return done, err
	}
	// By other rules a call may have ids that these do not find: then it is withheld again.
	if err := retryWithheld(ctx, s, rules, now()); err != nil || len(owners) == 0 {
		return done, err
	}
	e := engine.New(s, rules)
	_, err = e.Verify(ctx, engine.VerifyOptions{Profiles: owners, Repair: true}, now(), func(engine.Difference) {})
	return done, err
}
