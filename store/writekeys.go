package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/ingest"
)

// WriteKeys finds sources by their write keys. Keys are known by their SHA-256 only, in
// the database and in memory, so that the time of a look-up says nothing of a key.
type WriteKeys struct {
	store *Store
	now   func() time.Time

	mu     sync.Mutex
	read   time.Time
	byHash map[[sha256.Size]byte]ingest.Source
}

// keysFor is how long sources are remembered, and so how late a change elsewhere is seen.
const keysFor = 2 * time.Second

var _ ingest.Sources = (*WriteKeys)(nil)

// WriteKeys returns the write keys of the store's sources.
func (s *Store) WriteKeys(now func() time.Time) *WriteKeys { return &WriteKeys{store: s, now: now} }

// ByWriteKey implements ingest.Sources.
func (w *WriteKeys) ByWriteKey(ctx context.Context, key string) (ingest.Source, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.now(); w.byHash == nil || now.Sub(w.read) > keysFor || now.Before(w.read) {
		if err := w.refresh(ctx); err != nil {
			return ingest.Source{}, false, err
		}
		w.read = now
	}
	src, ok := w.byHash[sha256.Sum256([]byte(key))]
	return src, ok, nil
}

func (w *WriteKeys) refresh(ctx context.Context) error {
	rows, err := w.store.pool.Query(ctx, `SELECT source_id, name, write_key_hash FROM sources WHERE enabled AND write_key_hash IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("read the write keys: %w", err)
	}
	byHash := make(map[[sha256.Size]byte]ingest.Source)
	var src ingest.Source
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&src.ID, &src.Name, &hash}, func() error {
		byHash[[sha256.Size]byte(hash)] = src
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the write keys: %w", err)
	}
	w.byHash = byHash
	return nil
}

// EnsureSources makes sources take calls with the write keys given, by name.
func (s *Store) EnsureSources(ctx context.Context, keys map[string]string, now time.Time) error {
	for name, key := range keys {
		hash := sha256.Sum256([]byte(key))
		err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
			_, err := t.Exec(ctx, `
				INSERT INTO sources (name, write_key_hash, created_at) VALUES ($1, $2, $3)
				ON CONFLICT (name) DO UPDATE SET write_key_hash = excluded.write_key_hash`, name, hash[:], now)
			if err != nil {
				return err
			}
			return bump(ctx, t)
		})
		if err != nil {
			return fmt.Errorf("source %q: %w", name, err)
		}
	}
	return nil
}
