package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Version is a definition that a computation has or had.
type Version struct {
	Version   int       `json:"version"`
	Query     string    `json:"query"`
	Class     string    `json:"class"`
	Schedule  string    `json:"schedule,omitempty"`
	Refresh   string    `json:"refresh,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// State is serves, rests (disabled, or not yet brought up to date again), waits (for its
	// backfill, or to be enabled), backfilling, earlier, or deleted.
	State   string `json:"state"`
	Deleted bool   `json:"-"` // it belonged to a computation that was deleted
}

// Versions lists the definitions under a key, the newest first, those of deleted
// computations too.
func (s *Store) Versions(ctx context.Context, key string) ([]Version, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT v.version, v.query, v.class, v.schedule, v.refresh, v.created_at, c.status = 'deleted',
			CASE WHEN c.status = 'deleted' THEN 'deleted' WHEN v.version < c.version THEN 'earlier'
				WHEN v.version = c.version THEN CASE WHEN c.status = 'live' THEN 'serves' ELSE 'rests' END
				WHEN v.version < (SELECT max(x.version) FROM computation_versions x WHERE x.computation_id = v.computation_id) THEN 'earlier'
				WHEN v.backfill_id IS NULL THEN 'waits' ELSE 'backfilling' END
		FROM computations c JOIN computation_versions v USING (computation_id)
		WHERE c.key = $1 ORDER BY c.computation_id DESC, v.version DESC`, key)
	if err != nil {
		return nil, fmt.Errorf("read the versions of %s: %w", key, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v Version, err error) {
		err = row.Scan(&v.Version, &v.Query, &v.Class, &v.Schedule, &v.Refresh, &v.CreatedAt, &v.Deleted, &v.State)
		return v, err
	})
}
