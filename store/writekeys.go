package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/ingest"
)

// WriteKey is the secret by which a source is known. Formatting and logging hide it.
type WriteKey string

// newWriteKey makes a key of 128 random bits or more.
func newWriteKey() WriteKey { return WriteKey(rand.Text()) }

// Reveal is the key itself, for the one time that it is shown.
func (k WriteKey) Reveal() string { return string(k) }

// String hides the key.
func (WriteKey) String() string { return "(secret)" }

// GoString hides the key.
func (WriteKey) GoString() string { return "(secret)" }

// LogValue hides the key.
func (WriteKey) LogValue() slog.Value { return slog.StringValue("(secret)") }

func (k WriteKey) hash() []byte {
	sum := sha256.Sum256([]byte(k))
	return sum[:]
}

// RotateWriteKey gives a source a new write key, which can never be read again. What it
// had before works until the grace has passed; 0 ends it at once. A grace never makes keys
// of earlier rotations work longer than they would have. A source without a key gets its
// first; that of a configured source is only found in the configuration: ErrConfigSource.
func (s *Store) RotateWriteKey(ctx context.Context, name string, grace time.Duration, now time.Time) (WriteKey, error) {
	key := newWriteKey()
	err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		var id int64
		var old []byte
		var origin Origin
		err := t.QueryRow(ctx, `SELECT source_id, write_key_hash, origin FROM sources WHERE name = $1 FOR UPDATE`, name).Scan(&id, &old, &origin)
		switch {
		case err != nil:
			return unknownSource(err)
		case origin == FromConfig && old != nil:
			return ErrConfigSource
		}
		until := now.Add(max(grace, 0))
		var b pgx.Batch
		b.Queue(`UPDATE rotated_write_keys SET works_until = least(works_until, $2) WHERE source_id = $1`, id, until)
		if old != nil {
			b.Queue(`INSERT INTO rotated_write_keys (write_key_hash, source_id, works_until) VALUES ($1, $2, $3)
				ON CONFLICT (write_key_hash) DO UPDATE SET source_id = excluded.source_id, works_until = excluded.works_until`, old, id, until)
		}
		b.Queue(`DELETE FROM rotated_write_keys WHERE works_until <= $1`, now)
		b.Queue(`UPDATE sources SET write_key_hash = $2, origin = $3 WHERE source_id = $1`, id, key.hash(), FromCommand)
		return t.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return "", fmt.Errorf("rotate the write key of source %q: %w", name, err)
	}
	return key, nil
}

// WriteKeys finds sources by their write keys. Keys are known by their SHA-256 only, in
// the database and in memory, so that the time of a look-up says nothing of a key.
type WriteKeys struct {
	store *Store
	now   func() time.Time

	mu     sync.Mutex
	asked  time.Time // when the database was asked last
	failed error     // how that went
	byHash map[[sha256.Size]byte]keyHolder
}

// keyHolder is a source with one of its keys.
type keyHolder struct {
	ingest.Source
	until time.Time // of a key that was rotated out; zero: without end
}

const (
	// keysFor is how long keys are remembered, and so how late a change elsewhere is seen.
	keysFor = time.Second
	// strangeFor is how long an unknown key stays one: a source that was just made should
	// be known at once, yet guesses must not reach the database one by one.
	strangeFor = 200 * time.Millisecond
	// keysTimeout bounds the wait for the database.
	keysTimeout = 5 * time.Second
)

var _ ingest.Sources = (*WriteKeys)(nil)

// WriteKeys returns the write keys of the store's sources.
func (s *Store) WriteKeys(now func() time.Time) *WriteKeys { return &WriteKeys{store: s, now: now} }

// ByWriteKey implements ingest.Sources.
func (w *WriteKeys) ByWriteKey(ctx context.Context, key string) (ingest.Source, bool, error) {
	hash := sha256.Sum256([]byte(key))
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	age := now.Sub(w.asked)
	holder, ok := w.byHash[hash]
	old := age > keysFor || age < 0 || w.byHash == nil && w.failed == nil
	if old || w.failed != nil || !ok && age > strangeFor {
		// While the database does not answer, only one request in a second waits for it.
		if old || w.failed == nil {
			w.failed = w.read(ctx, now)
			w.asked = w.now()
		}
		if w.failed != nil {
			return ingest.Source{}, false, w.failed
		}
		holder, ok = w.byHash[hash]
	}
	if !ok || !holder.until.IsZero() && !now.Before(holder.until) {
		return ingest.Source{}, false, nil
	}
	return holder.Source, true, nil
}

// read asks the database for all keys. It goes on when the client that happened to cause
// it breaks off.
func (w *WriteKeys) read(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	// Present keys come last and so win, should one have been another source's before.
	rows, err := w.store.pool.Query(ctx, `
		SELECT s.source_id, s.name, coalesce(s.rate, s.configured_rate, 0), k.write_key_hash, k.works_until
		FROM rotated_write_keys k JOIN sources s USING (source_id) WHERE s.enabled AND k.works_until > $1
		UNION ALL
		SELECT source_id, name, coalesce(rate, configured_rate, 0), write_key_hash, NULL FROM sources WHERE enabled AND write_key_hash IS NOT NULL
		ORDER BY 5 NULLS LAST`, now)
	if err != nil {
		return fmt.Errorf("read the write keys: %w", err)
	}
	byHash := make(map[[sha256.Size]byte]keyHolder)
	var src ingest.Source
	var hash []byte
	var until *time.Time
	_, err = pgx.ForEachRow(rows, []any{&src.ID, &src.Name, &src.Rate, &hash, &until}, func() error {
		holder := keyHolder{Source: src}
		if until != nil {
			holder.until = *until
		}
		byHash[[sha256.Size]byte(hash)] = holder
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the write keys: %w", err)
	}
	w.byHash = byHash
	return nil
}
