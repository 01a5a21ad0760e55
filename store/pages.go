package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// MembersAfter reads who is in an audience, or has a value of a trait, in the order of
// Members, at most so many, from after a place on.
func (s *Store) MembersAfter(ctx context.Context, kind, key string, after engine.Place, limit int) ([]Member, error) {
	id, err := s.computation(ctx, kind, key)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, `
		SELECT v.profile_id, v.value::text, v.since, v.reason, ARRAY(
			SELECT e.id_type || ':' || e.id_value FROM external_ids e WHERE e.bucket = v.bucket AND e.profile_id = v.profile_id
			ORDER BY e.added_at, e.id_type, e.id_value)
		FROM computed_values v JOIN computations c USING (computation_id)
		WHERE v.computation_id = $1 AND (v.bucket, v.profile_id) > ($2, $3) AND `+has+`
		ORDER BY v.bucket, v.profile_id LIMIT $4`, id, after.Bucket, after.ProfileID, limit)
	if err != nil {
		return nil, fmt.Errorf("read the members of %s: %w", key, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Member, err error) {
		err = row.Scan(&m.ProfileID, (*[]byte)(&m.Value), &m.Since, &m.Reason, &m.IDs)
		return m, err
	})
}

// DeadLettersBefore is DeadLetters from before a number on; 0: from the newest.
func (s *Store) DeadLettersBefore(ctx context.Context, f LetterFilter, before int64) ([]DeadLetter, error) {
	rows, err := s.pool.Query(ctx, `SELECT l.dead_letter_id FROM dead_letters l JOIN destinations d USING (destination_id)
		WHERE `+letterWhere+` AND ($4 = 0 OR l.dead_letter_id < $4) ORDER BY l.dead_letter_id DESC LIMIT $5`, f.IDs, f.Destination, f.Kind, before, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	if f.IDs, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil || len(f.IDs) == 0 {
		return nil, err
	}
	return s.DeadLetters(ctx, f)
}
