package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// KnowsEvent tells whether an event of the name was ever received.
func (s *Store) KnowsEvent(ctx context.Context, name string) (known bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM event_names WHERE name = $1)`, name).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look for the event %q: %w", name, err)
	}
	return known, nil
}

// KnowsTrait tells whether the key is that of an audience or a computed trait, or of a
// trait that any profile has or had. It reads traits until it meets one.
func (s *Store) KnowsTrait(ctx context.Context, key string) (known bool, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT 1 FROM computations WHERE key = $1 AND deleted_at IS NULL) OR EXISTS (SELECT 1 FROM traits WHERE key = $1)`, key).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look for the trait %q: %w", key, err)
	}
	return known, nil
}

// PlainTraits implements engine.Tx.
func (t *tx) PlainTraits(ctx context.Context, keys []string) (map[string]bool, error) {
	rows, err := t.Query(ctx, `SELECT DISTINCT key FROM traits WHERE key = ANY($1) AND value IS NOT NULL`, keys)
	if err != nil {
		return nil, fmt.Errorf("look for traits with these keys: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	plain := make(map[string]bool, len(found))
	for _, key := range found {
		plain[key] = true
	}
	return plain, err
}
