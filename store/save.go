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
	_, err := t.Exec(ctx, `DELETE FROM leaf_states WHERE (bucket, profile_id) IN (SELECT * FROM unnest($1::int[], $2::bigint[]))`, c.buckets, c.ids)
	return err
}

// Save implements engine.Tx: one statement a table, whatever the number of profiles.
func (t *tx) Save(ctx context.Context, c *engine.Catalog, profiles []*engine.Profile) error {
	var b pgx.Batch
	if err := t.store.saveStates(&b, c, profiles); err != nil {
		return err
	}
	saveValues(&b, profiles)
	saveChanges(&b, profiles)
	saveLedger(&b, profiles)
	saveLooks(&b, profiles)
	if b.Len() == 0 {
		return nil
	}
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("save profiles: %w", err)
	}
	return nil
}

func (s *Store) saveStates(b *pgx.Batch, c *engine.Catalog, profiles []*engine.Profile) error {
	var w wanted
	var states [][]byte
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range profiles {
		unknown := ""
		err := p.ChangedStates(c, func(event string, bytes []byte) {
			number, ok := s.nameIDs[event]
			if !ok {
				unknown = event
			}
			w.add(p.ID, number)
			states = append(states, bytes)
		})
		if err == nil && unknown != "" {
			err = fmt.Errorf("the event %q has no number", unknown)
		}
		if err != nil {
			return err
		}
	}
	if len(states) == 0 {
		return nil
	}
	b.Queue(`INSERT INTO leaf_states (bucket, profile_id, event_name_id, states)
		SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bytea[])
		ON CONFLICT (bucket, profile_id, event_name_id) DO UPDATE SET states = excluded.states`, w.buckets, w.ids, w.keys, states)
	return nil
}

func saveValues(b *pgx.Batch, profiles []*engine.Profile) {
	var w wanted
	var values, causes []string
	var since []time.Time
	for _, p := range profiles {
		for id, h := range p.ChangedValues {
			w.add(p.ID, id)
			values = append(values, string(h.Value.AppendJSON(nil)))
			since = append(since, h.Since)
			causes = append(causes, string(h.Cause))
		}
	}
	if len(values) == 0 {
		return
	}
	b.Queue(`INSERT INTO computed_values (bucket, profile_id, computation_id, value, since, reason)
		SELECT u.bucket, u.profile_id, u.computation_id, u.value::jsonb, u.since, u.reason
		FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::text[])
			AS u (bucket, profile_id, computation_id, value, since, reason)
		ON CONFLICT (bucket, profile_id, computation_id) DO UPDATE
		SET value = excluded.value, since = excluded.since, reason = excluded.reason`, w.buckets, w.ids, w.keys, values, since, causes)
}

func saveChanges(b *pgx.Batch, profiles []*engine.Profile) {
	var w wanted
	var values, causes []string
	var at []time.Time
	for _, p := range profiles {
		for _, c := range p.Changes {
			w.add(p.ID, c.Computation.ID)
			values = append(values, string(c.Value.AppendJSON(nil)))
			at = append(at, c.At)
			causes = append(causes, string(c.Cause))
		}
	}
	if len(values) == 0 {
		return
	}
	b.Queue(`INSERT INTO value_changes (bucket, profile_id, computation_id, changed_at, value, reason)
		SELECT u.bucket, u.profile_id, u.computation_id, u.changed_at, u.value::jsonb, u.reason
		FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[])
			AS u (bucket, profile_id, computation_id, changed_at, value, reason)`, w.buckets, w.ids, w.keys, at, values, causes)
}

func saveLedger(b *pgx.Batch, profiles []*engine.Profile) {
	var w wanted
	var ids, values []string
	var told []int32
	var at []time.Time
	for _, p := range profiles {
		for line := range p.ChangedTold {
			w.add(p.ID, line.ConnectionID)
			ids = append(ids, line.IDs)
			values = append(values, string(line.Value.AppendJSON(nil)))
			told = append(told, int32(line.Times))
			at = append(at, line.At)
		}
	}
	if len(ids) == 0 {
		return
	}
	b.Queue(`INSERT INTO ledger (bucket, profile_id, connection_id, ids, value, told, told_at)
		SELECT u.bucket, u.profile_id, u.connection_id, u.ids, u.value::jsonb, u.told, u.told_at
		FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::int[], $7::timestamptz[])
			AS u (bucket, profile_id, connection_id, ids, value, told, told_at)
		ON CONFLICT (bucket, profile_id, connection_id, ids) DO UPDATE
		SET value = excluded.value, told = excluded.told, told_at = excluded.told_at`, w.buckets, w.ids, w.keys, ids, values, told, at)
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
