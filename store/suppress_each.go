package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"muster/identity"
)

// SuppressEach is Suppress for many people at once: ids that no profile joins are of
// different people, of whom each can be taken off the list alone.
func (s *Store) SuppressEach(ctx context.Context, ids []identity.ID, now time.Time) (Suppression, error) {
	return s.suppress(ctx, ids, now, func(t pgx.Tx, found meant) (hashes [][]byte, numbers []uuid.UUID, err error) {
		people, err := peopleOf(ctx, t, ids, found.owners)
		for id, number := range people {
			hashes, numbers = append(hashes, hashID(found.salt, id)), append(numbers, number)
		}
		return hashes, numbers, err
	})
}

// peopleOf puts a number on each person whom ids mean: that of the profile, or one that
// nobody else has.
func peopleOf(ctx context.Context, t pgx.Tx, ids []identity.ID, owners []int64) (map[identity.ID]uuid.UUID, error) {
	subjects := make(map[identity.ID]uuid.UUID, len(ids))
	for _, id := range ids {
		subjects[id.Normal()] = uuid.New()
	}
	p := columnsOf(owners)
	rows, err := t.Query(ctx, `
		SELECT e.profile_id, e.id_type, e.id_value FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id)
		JOIN external_ids e USING (bucket, profile_id)`, p.buckets, p.ids)
	if err != nil {
		return nil, err
	}
	byProfile := make(map[int64]uuid.UUID, len(owners))
	var owner int64
	var id identity.ID
	_, err = pgx.ForEachRow(rows, []any{&owner, &id.Type, &id.Value}, func() error {
		if _, known := byProfile[owner]; !known {
			byProfile[owner] = uuid.New()
		}
		subjects[id] = byProfile[owner]
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tell the people of %d ids apart: %w", len(ids), err)
	}
	return subjects, nil
}
