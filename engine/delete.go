package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"muster/identity"
)

// DeletionReport says what a deletion has removed.
type DeletionReport struct {
	Profiles []int64       // in ascending order
	Unknown  []identity.ID // ids that no profile has
	IDs      int64         // external ids
	Events   int64
	Traits   int64
	Values   int64 // of audiences and computed traits
	Messages int64 // queued or in the dead letters, told or not
}

// DeleteProfile forgets the profiles that own the ids: all of their ids, events, traits,
// values and history, what was told of them and what waits to be told. It sends nothing.
// Who comes later with one of the ids is a new profile.
func (e *Engine) DeleteProfile(ctx context.Context, ids []identity.ID, now time.Time) (DeletionReport, error) {
	var report DeletionReport
	err := e.repo.Transact(ctx, func(tx Tx) error {
		report = DeletionReport{}
		// Together with ingestion: a slot's clean cut must not fall between events and their loss.
		if err := tx.ShareGate(ctx); err != nil {
			return err
		}
		wanted := make([]identity.ID, 0, len(ids))
		for _, id := range ids {
			wanted = appendNew(wanted, id.Normal())
		}
		owners, err := tx.Owners(ctx, wanted)
		if err != nil {
			return err
		}
		owning := make(map[int64]bool, len(owners))
		for _, id := range wanted {
			if owner, ok := owners[id]; ok {
				owning[int64(owner)] = true
			} else {
				report.Unknown = append(report.Unknown, id)
			}
		}
		if len(owning) == 0 {
			return nil
		}
		locked, err := tx.LockProfiles(ctx, slices.Collect(maps.Keys(owning)))
		if err != nil {
			return err
		}
		if len(locked) < len(owning) || !own(locked, owners) {
			return ErrAgain // merged between the look-up and the lock
		}
		for _, p := range locked {
			report.Profiles = append(report.Profiles, int64(p.ID))
		}
		slices.Sort(report.Profiles)
		return tx.DeleteProfiles(ctx, &report, now)
	})
	if err != nil {
		return report, fmt.Errorf("delete the profiles of %d ids: %w", len(ids), err)
	}
	return report, nil
}

// own tells whether the profiles have the ids that they were found by.
func own(profiles []identity.Profile, owners map[identity.ID]identity.ProfileID) bool {
	for _, p := range profiles {
		for id, owner := range owners {
			if owner == p.ID && !slices.ContainsFunc(p.Links, func(l identity.Link) bool { return l.ID == id }) {
				return false
			}
		}
	}
	return true
}
