package store

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
)

// Person is all that is known of a profile, of long lists the newest.
type Person struct {
	ProfileID int64     `json:"profile"`
	CreatedAt time.Time `json:"created_at"`
	// Suppressed says that some of the ids is on the suppression list: calls are dropped, values
	// rest as they are, and nothing is told.
	Suppressed bool           `json:"suppressed"`
	IDs        []PersonID     `json:"ids"`
	Merged     []int64        `json:"merged"` // numbers of the profiles that it took in
	Traits     []PersonTrait  `json:"traits"`
	Values     []PersonValue  `json:"values"` // of audiences and computed traits
	Told       []PersonTold   `json:"told"`
	Changes    []PersonValue  `json:"changes"` // of values, the newest first
	Events     []PersonEvent  `json:"events"`  // the newest first
	Counts     map[string]int `json:"counts"`  // how many changes and events there are
}

// PersonID is an external id of a profile.
type PersonID struct {
	Type    string    `json:"type"`
	Value   string    `json:"value"`
	AddedAt time.Time `json:"added_at"`
}

// PersonTrait is a trait that a call has set.
type PersonTrait struct {
	Key       string         `json:"key"`
	Value     jsontext.Value `json:"value"`
	ChangedAt time.Time      `json:"changed_at"`
}

// PersonValue is what a computation says, or has come to say.
type PersonValue struct {
	Key    string         `json:"key"`
	Kind   string         `json:"kind"`
	Value  jsontext.Value `json:"value"`
	Since  time.Time      `json:"since"`
	Reason string         `json:"reason"`
}

// PersonTold is what a combination of ids heard last.
type PersonTold struct {
	Destination string         `json:"destination"`
	Key         string         `json:"key"`
	IDs         string         `json:"ids"`
	Value       jsontext.Value `json:"value"`
	Times       int            `json:"times"`
	At          time.Time      `json:"at"`
}

// PersonEvent is an event of a profile.
type PersonEvent struct {
	Name       string         `json:"name"`
	At         time.Time      `json:"at"`
	Source     string         `json:"source"`
	Properties jsontext.Value `json:"properties,omitempty"`
}

// Person reads what is known of the profile that has an external id; engine.ErrUnknownProfile
// if nobody has it. Of changes and events at most so many are read.
func (s *Store) Person(ctx context.Context, id identity.ID, limit int) (*Person, error) {
	var p *Person
	err := s.ViewProfile(ctx, id, func(v *ProfileView) error {
		p = &Person{ProfileID: v.ProfileID, Counts: make(map[string]int)}
		if err := p.read(ctx, v.t, limit); err != nil {
			return err
		}
		return p.readSuppressed(ctx, v.t)
	})
	if err != nil {
		return nil, fmt.Errorf("read a profile: %w", err)
	}
	return p, nil
}

func (p *Person) read(ctx context.Context, t pgx.Tx, limit int) error {
	var b pgx.Batch
	// queue adds a statement about the profile.
	queue := func(statement string, read func(pgx.Rows) error, more ...any) {
		b.Queue(statement, append([]any{engine.ProfileBucket(p.ProfileID), p.ProfileID}, more...)...).Query(read)
	}
	queue(`SELECT created_at FROM profiles WHERE bucket = $1 AND profile_id = $2`, func(rows pgx.Rows) (err error) {
		p.CreatedAt, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[time.Time])
		return err
	})
	queue(`SELECT id_type, id_value, added_at FROM external_ids WHERE bucket = $1 AND profile_id = $2 ORDER BY added_at, id_type, id_value`,
		collect(&p.IDs, func(x *PersonID) []any { return []any{&x.Type, &x.Value, &x.AddedAt} }))
	b.Queue(`SELECT loser_id FROM profile_merges WHERE survivor_id = $1 ORDER BY merged_at`, p.ProfileID).
		Query(collect(&p.Merged, func(x *int64) []any { return []any{x} }))
	queue(`SELECT key, value::text, changed_at FROM traits WHERE bucket = $1 AND profile_id = $2 AND value IS NOT NULL ORDER BY key`,
		collect(&p.Traits, func(x *PersonTrait) []any { return []any{&x.Key, (*[]byte)(&x.Value), &x.ChangedAt} }))
	value := func(x *PersonValue) []any {
		return []any{&x.Key, &x.Kind, (*[]byte)(&x.Value), &x.Since, &x.Reason}
	}
	queue(`SELECT c.key, c.kind, v.value::text, v.since, v.reason FROM computed_values v JOIN computations c USING (computation_id)
		WHERE v.bucket = $1 AND v.profile_id = $2 ORDER BY c.kind, c.key`, collect(&p.Values, value))
	queue(`SELECT d.name, c.key, l.ids, l.value::text, l.told, l.told_at
		FROM ledger l JOIN connections n USING (connection_id) JOIN destinations d USING (destination_id)
		JOIN computations c ON c.computation_id = n.computation_id
		WHERE l.bucket = $1 AND l.profile_id = $2 AND n.removed_at IS NULL ORDER BY d.name, c.key, l.ids`,
		collect(&p.Told, func(x *PersonTold) []any {
			return []any{&x.Destination, &x.Key, &x.IDs, (*[]byte)(&x.Value), &x.Times, &x.At}
		}))
	queue(`SELECT c.key, c.kind, h.value::text, h.changed_at, h.reason FROM value_changes h JOIN computations c USING (computation_id)
		WHERE h.bucket = $1 AND h.profile_id = $2 ORDER BY h.changed_at DESC, h.change_id DESC LIMIT $3`, collect(&p.Changes, value), limit)
	queue(`SELECT n.name, e.ts, s.name, e.properties::text FROM events e JOIN event_names n USING (event_name_id) JOIN sources s USING (source_id)
		WHERE e.bucket = $1 AND e.profile_id = $2 ORDER BY e.ts DESC, e.seq DESC LIMIT $3`,
		collect(&p.Events, func(x *PersonEvent) []any {
			return []any{&x.Name, &x.At, &x.Source, (*[]byte)(&x.Properties)}
		}), limit)
	for name, table := range map[string]string{
		"changes": `SELECT count(*) FROM value_changes WHERE bucket = $1 AND profile_id = $2`,
		"events":  `SELECT count(*) FROM events WHERE bucket = $1 AND profile_id = $2`,
	} {
		queue(table, func(rows pgx.Rows) error {
			n, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
			p.Counts[name] = n
			return err
		})
	}
	return t.SendBatch(ctx, &b).Close()
}

// readSuppressed asks the suppression list for the ids.
func (p *Person) readSuppressed(ctx context.Context, t pgx.Tx) error {
	var salt []byte
	if err := t.QueryRow(ctx, `SELECT (SELECT salt FROM suppression_salt)`).Scan(&salt); err != nil {
		return err
	}
	hashes := make([][]byte, len(p.IDs))
	for i, x := range p.IDs {
		hashes[i] = hashID(salt, identity.ID{Type: x.Type, Value: x.Value})
	}
	return t.QueryRow(ctx, `SELECT EXISTS (SELECT FROM suppressions WHERE id_hash = ANY ($1))`, hashes).Scan(&p.Suppressed)
}

// collect reads rows into a list, which is not nil thereafter.
func collect[T any](into *[]T, fields func(*T) []any) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (x T, err error) { return x, row.Scan(fields(&x)...) })
		return err
	}
}
