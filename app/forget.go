package app

import (
	"context"
	"time"

	"muster/engine"
	"muster/identity"
	"muster/store"
)

// Forgotten says what is gone of people who were to be forgotten.
type Forgotten struct {
	engine.DeletionReport
	Suppressed int // ids whose calls are dropped from now on
}

// Forget deletes the profiles that own the ids, see engine.Engine.DeleteProfile, and puts
// their ids on the suppression list first, so that no call on its way brings them back:
// it takes as long as Suppress. With returning they are not suppressed, and who comes
// later with one of the ids is somebody new. It is no fault if nobody has the ids: what
// broke off can be done again.
func Forget(ctx context.Context, s *store.Store, ids []identity.ID, returning bool, now func() time.Time) (Forgotten, error) {
	var done Forgotten
	if !returning {
		suppressed, err := Suppress(ctx, s, ids, now)
		if err != nil {
			return done, err
		}
		done.Suppressed = suppressed.IDs
	}
	e, err := engineOn(s)
	if err != nil {
		return done, err
	}
	done.DeletionReport, err = e.DeleteProfile(ctx, ids, now())
	return done, err
}
