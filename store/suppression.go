package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/event"
	"muster/identity"
)

// suppressionLock makes changes of the suppression list take turns.
const suppressionLock = 0x6d757374_0005

// SuppressionSeen is how late another process may see that the list is no longer empty.
const SuppressionSeen = time.Second

// suppressionState is what a process remembers of the suppression list, so that checking
// costs nothing while the list is empty, as it mostly is.
type suppressionState struct {
	mu   sync.Mutex
	read time.Time // zero: not yet, or no longer to be trusted
	any  bool
	salt []byte
}

// Suppression says what a change of the suppression list did.
type Suppression struct {
	Profiles int `json:"profiles"` // that own some of the ids given
	IDs      int `json:"ids"`      // given ones and those of the profiles, each once
	Changed  int `json:"changed"`  // ids that were put on the list or taken off it
}

// Suppress puts people on the suppression list: the ids given, and all ids of the profiles
// that own any of them. Calls that carry one of these are dropped from now on, here at
// once and in other processes within SuppressionSeen. Ids are kept as hashes. What is
// stored of the people stays, and so do their values.
//
// A call that was checked before and stored after may still bring a profile an id that is
// not on the list. Whoever must be sure suppresses again, a little later.
//
// What is computed of the people stays as it is from now on, and nothing is told of them.
func (s *Store) Suppress(ctx context.Context, ids []identity.ID, now time.Time) (Suppression, error) {
	return s.suppress(ctx, ids, now, func(_ pgx.Tx, found meant) ([][]byte, []uuid.UUID, error) {
		return found.hashes, slices.Repeat([]uuid.UUID{uuid.New()}, len(found.hashes)), nil
	})
}

// meant is whom ids mean.
type meant struct {
	owners []int64  // the profiles that have any of them
	hashes [][]byte // of the ids and of all ids of these
	salt   []byte
}

// suppress puts the people of ids on the list. people says of the hashes to be listed whose
// each is.
func (s *Store) suppress(ctx context.Context, ids []identity.ID, now time.Time, people func(pgx.Tx, meant) ([][]byte, []uuid.UUID, error)) (Suppression, error) {
	var done Suppression
	var found meant
	err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) (err error) {
		if done, found.owners, found.salt, found.hashes, err = subjects(ctx, t, ids); err != nil {
			return err
		}
		hashes, numbers, err := people(t, found)
		if err != nil {
			return err
		}
		// Who was suppressed before by some of the ids, at whatever times, stays one person,
		// with those that are new.
		_, err = t.Exec(ctx, `
			UPDATE suppressions s SET subject_id = n.subject_id
			FROM (SELECT DISTINCT ON (old.subject_id) old.subject_id AS before, n.subject_id
				FROM unnest($1::bytea[], $2::uuid[]) AS n (id_hash, subject_id) JOIN suppressions old USING (id_hash)) n
			WHERE s.subject_id = n.before`, hashes, numbers)
		if err != nil {
			return err
		}
		tag, err := t.Exec(ctx, `
			INSERT INTO suppressions (id_hash, subject_id, suppressed_at)
			SELECT n.id_hash, n.subject_id, $3 FROM unnest($1::bytea[], $2::uuid[]) AS n (id_hash, subject_id)
			ON CONFLICT DO NOTHING`, hashes, numbers, now)
		done.Changed = int(tag.RowsAffected())
		return err
	})
	if err == nil {
		err = s.rest(ctx, found.owners, true)
	}
	if err != nil {
		return Suppression{}, fmt.Errorf("suppress the people of %d ids: %w", len(ids), err)
	}
	s.suppression.mu.Lock()
	s.suppression.read, s.suppression.any, s.suppression.salt = now, s.suppression.any || len(ids) > 0, found.salt
	s.suppression.mu.Unlock()
	return done, nil
}

// Unsuppress takes people off the suppression list: all ids that were suppressed together
// with any of those given, or of the profiles that own these. One id of a person is
// enough, also when the profile is gone. It also returns the profiles, of which what came
// due meanwhile is still to be decided.
func (s *Store) Unsuppress(ctx context.Context, ids []identity.ID) (done Suppression, owners []int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		var hashes [][]byte
		var err error
		if done, owners, _, hashes, err = subjects(ctx, t, ids); err != nil {
			return err
		}
		tag, err := t.Exec(ctx, `
			DELETE FROM suppressions
			WHERE subject_id IN (SELECT subject_id FROM suppressions WHERE id_hash = ANY ($1))`, hashes)
		done.Changed = int(tag.RowsAffected())
		return err
	})
	if err == nil {
		err = s.rest(ctx, owners, false)
	}
	if err != nil {
		return Suppression{}, nil, fmt.Errorf("lift the suppression of the people of %d ids: %w", len(ids), err)
	}
	s.suppression.mu.Lock()
	s.suppression.read = time.Time{}
	s.suppression.mu.Unlock()
	return done, owners, nil
}

// subjects finds whom ids mean: the hashes of the ids and of all ids of the profiles that
// own them. The list is locked until the end of the transaction.
func subjects(ctx context.Context, t pgx.Tx, ids []identity.ID) (found Suppression, owners []int64, salt []byte, hashes [][]byte, err error) {
	// With the gate closed, no call is half way to giving one of the profiles another id.
	if _, err = t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(suppressionLock)); err != nil {
		return found, nil, nil, nil, err
	}
	if _, err = t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(gateLock)); err != nil {
		return found, nil, nil, nil, err
	}
	if salt, err = suppressionSalt(ctx, t); err != nil {
		return found, nil, nil, nil, err
	}
	known := make(map[identity.ID]bool, len(ids))
	hash := func(id identity.ID) {
		if !known[id] {
			known[id] = true
			hashes = append(hashes, hashID(salt, id))
		}
	}
	var c idColumns
	for _, id := range ids {
		id = id.Normal()
		c.add(id)
		hash(id)
	}
	rows, err := t.Query(ctx, `
		SELECT DISTINCT o.profile_id
		FROM unnest($1::int[], $2::text[], $3::text[]) AS want (bucket, id_type, id_value)
		JOIN id_owners o USING (bucket, id_type, id_value)`, c.buckets, c.types, c.values)
	if err != nil {
		return found, nil, nil, nil, err
	}
	profiles, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return found, nil, nil, nil, err
	}
	p := columnsOf(profiles)
	rows, err = t.Query(ctx, `
		SELECT e.id_type, e.id_value FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id)
		JOIN external_ids e USING (bucket, profile_id)`, p.buckets, p.ids)
	if err != nil {
		return found, nil, nil, nil, err
	}
	var id identity.ID
	if _, err = pgx.ForEachRow(rows, []any{&id.Type, &id.Value}, func() error { hash(id); return nil }); err != nil {
		return found, nil, nil, nil, err
	}
	return Suppression{Profiles: len(profiles), IDs: len(hashes)}, profiles, salt, hashes, nil
}

// rest marks profiles, so that nothing is decided or told of them, or takes the mark off.
// It waits for slots and backfills that hold the profiles, and so comes when the gate is
// open again.
func (s *Store) rest(ctx context.Context, profiles []int64, suppressed bool) error {
	slices.SortFunc(profiles, engine.CompareProfiles)
	p := columnsOf(profiles)
	_, err := s.pool.Exec(ctx, `
		UPDATE profiles p SET suppressed = $3
		FROM unnest($1::int[], $2::bigint[]) AS n (bucket, profile_id)
		WHERE p.bucket = n.bucket AND p.profile_id = n.profile_id AND p.suppressed <> $3`, p.buckets, p.ids, suppressed)
	return err
}

// Withheld is a call that delivery has withheld because its people were suppressed, as a dead
// letter.
type Withheld struct {
	Letter int64 // its number
	Call   *event.Call
}

// withheldPage is how many letters Withheld reads at a time.
const withheldPage = 1000

// Withheld goes through what is withheld, page by page.
func (s *Store) Withheld(ctx context.Context, yield func([]Withheld) error) error {
	rows, err := s.pool.Query(ctx, `SELECT dead_letter_id FROM dead_letters WHERE code = $1 AND resolution IS NULL ORDER BY dead_letter_id`, string(event.CodeSuppressed))
	if err != nil {
		return fmt.Errorf("find what is withheld: %w", err)
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("find what is withheld: %w", err)
	}
	for page := range slices.Chunk(numbers, withheldPage) {
		letters, err := s.DeadLetters(ctx, LetterFilter{IDs: page, Limit: len(page)})
		if err != nil {
			return err
		}
		var withheld []Withheld
		for _, l := range letters {
			if l.Call != nil {
				withheld = append(withheld, Withheld{Letter: l.ID, Call: l.Call.of})
			}
		}
		if err := yield(withheld); err != nil {
			return err
		}
	}
	return nil
}

// suppressionSalt reads the salt, and makes it the first time.
func suppressionSalt(ctx context.Context, t pgx.Tx) (salt []byte, err error) {
	fresh := make([]byte, sha256.Size)
	_, _ = rand.Read(fresh) // never fails
	if _, err = t.Exec(ctx, `INSERT INTO suppression_salt (salt) VALUES ($1) ON CONFLICT DO NOTHING`, fresh); err != nil {
		return nil, err
	}
	err = t.QueryRow(ctx, `SELECT salt FROM suppression_salt`).Scan(&salt)
	return salt, err
}

// hashID is an id, in normal form, as the suppression list knows it.
func hashID(salt []byte, id identity.ID) []byte {
	mac := hmac.New(sha256.New, salt)
	// No type holds a control character, so that the two cannot run into each other.
	_, _ = io.WriteString(mac, id.Type+"\x00"+id.Value) // never fails
	return mac.Sum(nil)
}

// AnySuppressed tells whether the suppression list has anybody on it, as of a second ago
// at most.
func (s *Store) AnySuppressed(ctx context.Context, now time.Time) (bool, error) {
	l := &s.suppression
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.read); !l.read.IsZero() && age >= 0 && age < SuppressionSeen {
		return l.any, nil
	}
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM suppressions), (SELECT salt FROM suppression_salt)`).Scan(&l.any, &l.salt)
	if err != nil {
		l.read = time.Time{}
		return false, fmt.Errorf("read the suppression list: %w", err)
	}
	l.read = now
	return l.any, nil
}

// Suppressed tells of each of several calls whether any of its ids, in normal form, is on
// the suppression list.
func (s *Store) Suppressed(ctx context.Context, calls [][]identity.ID, now time.Time) ([]bool, error) {
	suppressed := make([]bool, len(calls))
	some, err := s.AnySuppressed(ctx, now)
	if err != nil || !some {
		return suppressed, err
	}
	s.suppression.mu.Lock()
	salt := s.suppression.salt
	s.suppression.mu.Unlock()
	var hashes [][]byte
	carriers := make(map[[sha256.Size]byte][]int) // calls by the hashes of their ids
	hashOf := make(map[identity.ID][sha256.Size]byte)
	for i, ids := range calls {
		for _, id := range ids {
			h, known := hashOf[id]
			if !known {
				h = [sha256.Size]byte(hashID(salt, id))
				hashOf[id] = h
				hashes = append(hashes, h[:])
			}
			carriers[h] = append(carriers[h], i)
		}
	}
	if len(hashes) == 0 {
		return suppressed, nil
	}
	rows, err := s.pool.Query(ctx, `SELECT id_hash FROM suppressions WHERE id_hash = ANY ($1)`, hashes)
	if err != nil {
		return nil, fmt.Errorf("look calls up in the suppression list: %w", err)
	}
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&hash}, func() error {
		for _, i := range carriers[[sha256.Size]byte(hash)] {
			suppressed[i] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look calls up in the suppression list: %w", err)
	}
	return suppressed, nil
}
