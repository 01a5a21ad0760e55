package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Keys are those of the audiences or traits that are not deleted, sorted; with an empty kind of both.
func (s *Store) Keys(ctx context.Context, kind string) ([]string, error) {
	return s.named(ctx, "keys", `SELECT key FROM computations WHERE deleted_at IS NULL AND ($1 = '' OR kind = $1) ORDER BY 1`, kind)
}

// SourceNames are the names of all sources, sorted.
func (s *Store) SourceNames(ctx context.Context) ([]string, error) {
	return s.named(ctx, "sources", `SELECT name FROM sources ORDER BY 1`)
}

// DestinationNames are those of the destinations in use, sorted.
func (s *Store) DestinationNames(ctx context.Context) ([]string, error) {
	return s.named(ctx, "destinations", `SELECT name FROM destinations WHERE removed_at IS NULL ORDER BY 1`)
}

// TokenNames are the names of all tokens of the APIs, sorted.
func (s *Store) TokenNames(ctx context.Context) ([]string, error) {
	return s.named(ctx, "tokens", `SELECT name FROM api_tokens ORDER BY 1`)
}

func (s *Store) named(ctx context.Context, what, statement string, args ...any) ([]string, error) {
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	return names, nil
}
