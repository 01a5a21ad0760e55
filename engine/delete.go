package engine

import (
	"context"
	"fmt"
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
		locked, err := tx.LockOwners(ctx, wanted)
		if err != nil {
			return err
		}
		known := make(map[identity.ID]bool)
		for _, p := range locked {
			report.Profiles = append(report.Profiles, int64(p.ID))
			for _, l := range p.Links {
				known[l.ID] = true
			}
		}
		for _, id := range wanted {
			if !known[id] {
				report.Unknown = append(report.Unknown, id)
			}
		}
		if len(locked) == 0 {
			return nil
		}
		slices.Sort(report.Profiles)
		return tx.DeleteProfiles(ctx, &report, now)
	})
	if err != nil {
		return report, fmt.Errorf("delete the profiles of %d ids: %w", len(ids), err)
	}
	return report, nil
}
