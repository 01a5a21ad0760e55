package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muster/engine"
)

// kept reads how far back the log of events goes.
func (t *tx) kept(ctx context.Context) (k engine.Kept, err error) {
	var since *time.Time
	if err := t.QueryRow(ctx, `SELECT since, cut FROM kept_events`).Scan(&since, &k.Cut); err != nil {
		return k, fmt.Errorf("read how far back the log goes: %w", err)
	}
	if since != nil {
		k.Since = *since
	}
	return k, nil
}

// errChanged says that the definitions are not what the caller looked at.
var errChanged = errors.New("the definitions have changed meanwhile")

// DropEvents drops the events of the months that ended before an instant, and returns how
// many months had any. The instant is one up to which no definition looks back, by the
// catalog of that version; if the definitions have changed since, or a backfill runs,
// nothing is dropped.
//
// A month keeps its empty partition: so a call of that time that comes late finds its place,
// whichever process takes it, and nobody but readers of that month waits for the dropping.
func (s *Store) DropEvents(ctx context.Context, before time.Time, version int64, now time.Time) (months int, err error) {
	names, err := s.partitionsOf(ctx, "events")
	if err != nil {
		return 0, err
	}
	var old []string
	var end time.Time
	for _, name := range names {
		month, err := time.Parse("events_2006m01", name)
		if err != nil || month.AddDate(0, 1, 0).After(before) {
			continue
		}
		var filled bool
		if err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+pgx.Identifier{name}.Sanitize()+`)`).Scan(&filled); err != nil {
			return 0, fmt.Errorf("look into %s: %w", name, err)
		}
		if filled {
			old = append(old, pgx.Identifier{name}.Sanitize())
			end = month.AddDate(0, 1, 0) // the names are in the order of time
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	err = s.patiently(ctx, func(t *tx) error {
		if err := t.ShareCatalog(ctx); err != nil { // no backfill begins meanwhile
			return err
		}
		running, err := t.Running(ctx)
		if err != nil {
			return err
		}
		if is, err := t.CatalogVersion(ctx); err != nil || is != version || running != nil {
			return errors.Join(err, errChanged)
		}
		if _, err := t.Exec(ctx, `TRUNCATE `+strings.Join(old, ", ")); err != nil {
			return err
		}
		// A place of its own: what is built later has a higher one, what was built before a lower.
		cut, err := t.NewSeqs(ctx, 1)
		if err != nil {
			return err
		}
		if _, err := t.Exec(ctx, `UPDATE kept_events SET since = greatest(since, $1), cut = $2, dropped_at = $3`, end, cut[0], now); err != nil {
			return err
		}
		return bump(ctx, t.Tx)
	})
	switch {
	case errors.Is(err, errChanged):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("drop old events: %w", err)
	}
	return len(old), nil
}

// The patience of those who drop: while one waits for a lock, whoever comes after it waits
// too, so it waits shortly and often.
const (
	lockPatience = "100ms"
	lockPause    = 150 * time.Millisecond
	lockTries    = 20
)

// patiently runs f in a transaction that waits for locks for a moment at most, again after
// a pause if it had to, for some seconds.
func (s *Store) patiently(ctx context.Context, f func(*tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
			if _, err := t.Exec(ctx, `SET LOCAL lock_timeout = '`+lockPatience+`'`); err != nil {
				return err
			}
			return f(&tx{Tx: t, store: s})
		})
		var pg *pgconn.PgError
		held := errors.As(err, &pg) && pg.Code == "55P03" // lock_not_available
		if !held || try == lockTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(lockPause):
		}
	}
}
