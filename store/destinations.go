package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// DestinationIDs are the numbers of the destinations that are told something, by name.
func (s *Store) DestinationIDs(ctx context.Context) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx, `SELECT name, destination_id FROM destinations WHERE removed_at IS NULL`)
	if err != nil {
		return nil, fmt.Errorf("list the destinations: %w", err)
	}
	ids := make(map[string]int64)
	var name string
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&name, &id}, func() error {
		ids[name] = id
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the destinations: %w", err)
	}
	return ids, nil
}
