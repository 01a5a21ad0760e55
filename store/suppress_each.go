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
	var done Suppression
	var owners []int64
	var salt []byte
	err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) (err error) {
		if done, owners, salt, _, err = subjects(ctx, t, ids); err != nil {
			return err
		}
		people, err := peopleOf(ctx, t, ids, owners)
		if err != nil {
			return err
		}
		var hashes [][]byte
		var subjects []uuid.UUID
		for id, subject := range people {
			hashes, subjects = append(hashes, hashID(salt, id)), append(subjects, subject)
		}
		// Who was suppressed before by some of the ids stays one person, with those that are new.
		_, err = t.Exec(ctx, `
			UPDATE suppressions s SET subject_id = n.subject_id
			FROM (SELECT DISTINCT ON (old.subject_id) old.subject_id AS before, n.subject_id
				FROM unnest($1::bytea[], $2::uuid[]) AS n (id_hash, subject_id) JOIN suppressions old USING (id_hash)) n
			WHERE s.subject_id = n.before`, hashes, subjects)
		if err != nil {
			return err
		}
		tag, err := t.Exec(ctx, `
			INSERT INTO suppressions (id_hash, subject_id, suppressed_at)
			SELECT n.id_hash, n.subject_id, $3 FROM unnest($1::bytea[], $2::uuid[]) AS n (id_hash, subject_id)
			ON CONFLICT DO NOTHING`, hashes, subjects, now)
		done.Changed = int(tag.RowsAffected())
		return err
	})
	if err == nil {
		err = s.rest(ctx, owners, true)
	}
	if err != nil {
		return Suppression{}, fmt.Errorf("suppress the people of %d ids: %w", len(ids), err)
	}
	s.suppression.mu.Lock()
	s.suppression.read, s.suppression.any, s.suppression.salt = now, s.suppression.any || len(ids) > 0, salt
	s.suppression.mu.Unlock()
	return done, nil
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
