package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// SetTraits implements engine.Tx.
func (t *tx) SetTraits(ctx context.Context, traits []engine.TraitWrite) error {
	var c profileColumns
	var keys []string
	var values []*string
	var at []time.Time
	var arrivals []int64
	for _, w := range traits {
		c.add(w.ProfileID)
		keys = append(keys, w.Key)
		var value *string
		if w.Value != nil {
			value = new(string(w.Value))
		}
		values = append(values, value)
		at = append(at, w.At)
		arrivals = append(arrivals, w.Arrival)
	}
	_, err := t.Exec(ctx, `
		INSERT INTO traits AS have (bucket, profile_id, key, value, changed_at, arrival)
		SELECT u.bucket, u.profile_id, u.key, u.value::jsonb, u.changed_at, u.arrival
		FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[])
			AS u (bucket, profile_id, key, value, changed_at, arrival)
		ON CONFLICT (bucket, profile_id, key) DO UPDATE
		SET value = excluded.value, changed_at = excluded.changed_at, arrival = excluded.arrival
		WHERE (have.changed_at, have.arrival) < (excluded.changed_at, excluded.arrival)`,
		c.buckets, c.ids, keys, values, at, arrivals)
	if err != nil {
		return fmt.Errorf("set %d traits: %w", len(traits), err)
	}
	return nil
}

// DropStates implements engine.Tx.
func (t *tx) DropStates(ctx context.Context, ids []int64) error {
	c := columnsOf(ids)
	var b pgx.Batch
	for _, table := range []string{"leaf_states", "overflows"} {
		b.Queue(`DELETE FROM `+table+` WHERE (bucket, profile_id) IN (SELECT * FROM unnest($1::int[], $2::bigint[]))`, c.buckets, c.ids)
	}
	return t.SendBatch(ctx, &b).Close()
}

// Save implements engine.Tx: one or two statements a table, whatever the number of
// profiles. Many rows that were not there before go by COPY, which spares PostgreSQL the
// look for a conflict; the lock on the profile keeps others from making them.
func (t *tx) Save(ctx context.Context, c *engine.Catalog, profiles []*engine.Profile) error {
	states, err := t.store.stateRows(c, profiles)
	if err != nil {
		return err
	}
	if states, err = copyFresh(ctx, t, states); err != nil {
		return err
	}
	values, err := copyFresh(ctx, t, valueRows(profiles))
	if err != nil {
		return err
	}
	changes, err := copyFresh(ctx, t, changeRows(profiles))
	if err != nil {
		return err
	}
	lines, err := copyFresh(ctx, t, ledgerRows(profiles))
	if err != nil {
		return err
	}
	var b pgx.Batch
	saveStates(&b, states)
	saveValues(&b, values)
	saveChanges(&b, changes)
	saveLedger(&b, lines)
	saveOverflows(&b, profiles)
	saveLooks(&b, profiles)
	if b.Len() == 0 {
		return nil
	}
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("save profiles: %w", err)
	}
	return nil
}

func saveLooks(b *pgx.Batch, profiles []*engine.Profile) {
	var settled, marked wanted
	var at []time.Time
	for _, p := range profiles {
		for id, look := range p.Looks() {
			if look.Replace {
				settled.add(p.ID, id)
			}
			if !look.At.IsZero() {
				marked.add(p.ID, id)
				at = append(at, look.At)
			}
		}
	}
	if len(settled.keys) > 0 {
		b.Queue(`DELETE FROM due_evaluations WHERE (bucket, profile_id, computation_id) IN
			(SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[]))`, settled.buckets, settled.ids, settled.keys)
	}
	if len(at) > 0 {
		b.Queue(`INSERT INTO due_evaluations AS have (bucket, profile_id, computation_id, due_at)
			SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::timestamptz[])
			ON CONFLICT (bucket, profile_id, computation_id) DO UPDATE
			SET due_at = excluded.due_at WHERE excluded.due_at < have.due_at`, marked.buckets, marked.ids, marked.keys, at)
	}
}
