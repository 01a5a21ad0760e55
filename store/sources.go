package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Origin says where a source's write key is kept.
type Origin string

// The origins of sources.
const (
	FromConfig  Origin = "config"  // the configuration file has the key
	FromCommand Origin = "command" // the key was made here and shown once
	FromImport  Origin = "import"  // there is no key: calls come from files only
)

// Source is a place where calls come from.
type Source struct {
	ID        int64     `json:"-"`
	Name      string    `json:"name"`
	Enabled   bool      `json:"enabled"`
	Origin    Origin    `json:"origin"`
	HasKey    bool      `json:"has_key"`
	Rate      *float64  `json:"rate"`      // requests per second; nil: the default
	RateFrom  Origin    `json:"rate_from"` // who has set it: FromCommand goes before FromConfig; "": nobody
	CreatedAt time.Time `json:"created_at"`
	// OldKeysUntil is until when keys work that were rotated out; nil: none does.
	OldKeysUntil *time.Time `json:"old_keys_until"`
	// LastCallAt is when the debugger saw its latest call over HTTP; nil: it remembers none.
	LastCallAt *time.Time `json:"last_call_at"`
}

// Errors about sources, for those who branch on them.
var (
	ErrUnknownSource = errors.New("there is no such source; muster source list shows all")
	ErrSourceExists  = errors.New("there is a source of this name already")
	ErrConfigSource  = errors.New("its write key is kept in the configuration file: change it there, and apply it or start muster serve again")
	ErrSourceSetting = errors.New("a setting of a source is out of bounds")
)

// Sources lists all sources by name.
func (s *Store) Sources(ctx context.Context, now time.Time) ([]Source, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT s.source_id, s.name, s.enabled, s.origin, s.write_key_hash IS NOT NULL, coalesce(s.rate, s.configured_rate),
			CASE WHEN s.rate IS NOT NULL THEN 'command' WHEN s.configured_rate IS NOT NULL THEN 'config' ELSE '' END, s.created_at,
			(SELECT max(k.works_until) FROM rotated_write_keys k WHERE k.source_id = s.source_id AND k.works_until > $1),
			(SELECT r.received_at FROM recent_calls r WHERE r.source_id = s.source_id ORDER BY r.call_id DESC LIMIT 1)
		FROM sources s ORDER BY s.name`, now)
	if err != nil {
		return nil, fmt.Errorf("list the sources: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (src Source, err error) {
		return src, row.Scan(&src.ID, &src.Name, &src.Enabled, &src.Origin, &src.HasKey, &src.Rate, &src.RateFrom, &src.CreatedAt, &src.OldKeysUntil, &src.LastCallAt)
	})
	if err != nil {
		return nil, fmt.Errorf("list the sources: %w", err)
	}
	return list, nil
}

// CreateSource makes a source that takes calls with the write key returned, which can
// never be read again. rate is the number of requests that it may send per second, from
// 0.001 to 1,000,000; nil: as for LimitSource.
func (s *Store) CreateSource(ctx context.Context, name string, rate *float64, now time.Time) (WriteKey, error) {
	key := newWriteKey()
	err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		_, err := t.Exec(ctx, `INSERT INTO sources (name, write_key_hash, origin, rate, created_at) VALUES ($1, $2, $3, $4, $5)`,
			name, key.hash(), FromCommand, rate, now)
		if err != nil {
			return err
		}
		return bump(ctx, t)
	})
	if err != nil {
		return "", fmt.Errorf("create source %q: %w", name, sourceFault(err))
	}
	return key, nil
}

// sourceFault says what a violated constraint means.
func sourceFault(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.ConstraintName {
	case "sources_name_key":
		return fmt.Errorf("%w; rotate its key to get a new one", ErrSourceExists)
	case "sources_name_check":
		return fmt.Errorf("%w: a name has 1 to 64 letters, digits, _, . and -, the first a letter or a digit", ErrSourceSetting)
	case "sources_rate_check", "sources_configured_rate_check":
		return fmt.Errorf("%w: the rate is 0.001 to 1000000 requests per second", ErrSourceSetting)
	case "sources_write_key_hash_key":
		return errors.New("another source has the same write key; a key tells sources apart")
	}
	return err
}

// unknownSource says what the absence of a row means.
func unknownSource(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrUnknownSource
	}
	return err
}

// EnableSource lets the calls of a source in again, or refuses them; its keys are kept.
// Other processes notice within a second.
func (s *Store) EnableSource(ctx context.Context, name string, enabled bool) error {
	return s.updateSource(ctx, name, `UPDATE sources SET enabled = $2 WHERE name = $1`, enabled)
}

// LimitSource sets the number of requests that a source may send per second, from 0.001
// to 1,000,000, whatever the configuration says; nil: what that says, else the default.
// Other processes notice within a second.
func (s *Store) LimitSource(ctx context.Context, name string, rate *float64) error {
	return s.updateSource(ctx, name, `UPDATE sources SET rate = $2 WHERE name = $1`, rate)
}

func (s *Store) updateSource(ctx context.Context, name, statement string, value any) error {
	tag, err := s.pool.Exec(ctx, statement, name, value)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrUnknownSource
	}
	if err != nil {
		return fmt.Errorf("source %q: %w", name, sourceFault(err))
	}
	return nil
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
		return src, fmt.Errorf("source %q: %w", name, sourceFault(err))
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
