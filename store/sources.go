package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Source is a place where calls come from.
type Source struct {
	ID      int64
	Name    string
	Enabled bool
}

// EnsureSource finds the source with this name, or makes one that takes no calls over HTTP.
func (s *Store) EnsureSource(ctx context.Context, name string, now time.Time) (Source, error) {
	src := Source{Name: name}
	err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		err := t.QueryRow(ctx, `SELECT source_id, enabled FROM sources WHERE name = $1`, name).Scan(&src.ID, &src.Enabled)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		err = t.QueryRow(ctx, `INSERT INTO sources (name, created_at) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING source_id, enabled`, name, now).Scan(&src.ID, &src.Enabled)
		if err != nil {
			return err
		}
		return bump(ctx, t)
	})
	if err != nil {
		return src, fmt.Errorf("source %q: %w", name, err)
	}
	return src, nil
}

// readSources reads the names of all sources.
func (t *tx) readSources(ctx context.Context) error {
	rows, err := t.Query(ctx, `SELECT source_id, name FROM sources`)
	if err != nil {
		return err
	}
	t.store.mu.Lock()
	defer t.store.mu.Unlock()
	var id int64
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		t.store.sources[id] = name
		return nil
	})
	return err
}

// SourceName is the name of a source.
func (s *Store) SourceName(ctx context.Context, id int64) (string, error) {
	s.mu.RLock()
	name, ok := s.sources[id]
	s.mu.RUnlock()
	if ok {
		return name, nil
	}
	if err := s.pool.QueryRow(ctx, `SELECT name FROM sources WHERE source_id = $1`, id).Scan(&name); err != nil {
		return "", fmt.Errorf("source %d: %w", id, err)
	}
	s.mu.Lock()
	s.sources[id] = name
	s.mu.Unlock()
	return name, nil
}
