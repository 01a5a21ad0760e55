package store

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/jackc/pgx/v5"
)

// midnightGrace is how long after midnight keys also claim the day before, so that two
// transactions on both sides of it cannot take one message twice.
const midnightGrace = 15 * time.Minute

// messageKey is what a message id is known by. As a plain array it goes to the database
// without a detour through its text.
type messageKey = [16]byte

// ClaimMessages implements engine.Tx. A message id is known by the first 128 bits of its
// SHA-256. Keys stand in a partition for each day of receipt; a look-up costs one probe
// for each day that is kept.
func (t *tx) ClaimMessages(ctx context.Context, ids []string, now time.Time) ([]bool, error) {
	keys := make([]messageKey, 0, len(ids))
	at := make(map[messageKey]int, len(ids)) // the first place of each
	for i, id := range ids {
		sum := sha256.Sum256([]byte(id))
		key := messageKey(sum[:16])
		if _, twice := at[key]; !twice {
			at[key] = i
			keys = append(keys, key)
		}
	}
	fresh := make([]bool, len(ids))
	for _, i := range at {
		fresh[i] = true
	}
	today := now.UTC().Truncate(24 * time.Hour)
	days := []time.Time{today}
	if now.Sub(today) < midnightGrace {
		days = []time.Time{today.AddDate(0, 0, -1), today}
	}
	var b pgx.Batch
	for _, day := range days {
		// Keys in order, so that two batches with common ids wait for each other in one direction.
		b.Queue(`INSERT INTO message_keys (key, received_on)
			SELECT k, $2 FROM unnest($1::uuid[]) AS k ORDER BY k
			ON CONFLICT DO NOTHING RETURNING key`, keys, day)
	}
	// Days to come are looked at because the clock may have been set back.
	b.Queue(`SELECT key FROM message_keys WHERE key = ANY($1) AND (received_on < $2 OR received_on > $3)`, keys, days[0], today)
	results := t.SendBatch(ctx, &b)
	defer results.Close()
	var key messageKey
	for range days {
		rows, err := results.Query()
		if err != nil {
			return nil, err
		}
		inserted := make(map[messageKey]bool, len(keys))
		if _, err := pgx.ForEachRow(rows, []any{&key}, func() error { inserted[key] = true; return nil }); err != nil {
			return nil, err
		}
		if len(inserted) == len(keys) {
			continue
		}
		for k, i := range at {
			fresh[i] = fresh[i] && inserted[k]
		}
	}
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	if _, err := pgx.ForEachRow(rows, []any{&key}, func() error { fresh[at[key]] = false; return nil }); err != nil {
		return nil, err
	}
	return fresh, results.Close()
}
