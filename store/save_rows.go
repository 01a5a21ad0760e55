package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// copyRows is from how many new rows on COPY is used: it is a round trip of its own.
const copyRows = 200

// freshRow is a row that may be new, and then may be copied.
type freshRow interface {
	fresh() bool
	table() (name string, columns []string)
	values() []any
}

// copyFresh copies the new ones of the rows, if there are many, and returns the others.
func copyFresh[R freshRow](ctx context.Context, t *tx, rows []R) ([]R, error) {
	n := 0
	for _, r := range rows {
		if r.fresh() {
			n++
		}
	}
	if n < t.store.copyRows {
		return rows, nil
	}
	rest := make([]R, 0, len(rows)-n)
	table, columns := rows[0].table()
	i := 0
	_, err := t.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		for ; i < len(rows); i++ {
			if rows[i].fresh() {
				i++
				return rows[i-1].values(), nil
			}
			rest = append(rest, rows[i])
		}
		return nil, nil
	}))
	if err != nil {
		return nil, fmt.Errorf("save %d rows of %s: %w", n, table, err)
	}
	return rest, nil
}

type stateRow struct {
	profileID, name int64
	states          []byte
	stored          bool
}

func (r stateRow) fresh() bool { return !r.stored }

func (stateRow) table() (string, []string) {
	return "leaf_states", []string{"bucket", "profile_id", "event_name_id", "states"}
}

func (r stateRow) values() []any {
	return []any{int32(engine.ProfileBucket(r.profileID)), r.profileID, r.name, r.states}
}

func (s *Store) stateRows(c *engine.Catalog, profiles []*engine.Profile) ([]stateRow, error) {
	var rows []stateRow
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range profiles {
		unknown := ""
		err := p.ChangedStates(c, func(event string, bytes []byte, stored bool) {
			number, ok := s.nameIDs[event]
			if !ok {
				unknown = event
			}
			rows = append(rows, stateRow{p.ID, number, bytes, stored})
		})
		if err == nil && unknown != "" {
			err = fmt.Errorf("the event %q has no number", unknown)
		}
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func saveStates(b *pgx.Batch, rows []stateRow) {
	if len(rows) == 0 {
		return
	}
	var w wanted
	states := make([][]byte, 0, len(rows))
	for _, r := range rows {
		w.add(r.profileID, r.name)
		states = append(states, r.states)
	}
	b.Queue(`INSERT INTO leaf_states (bucket, profile_id, event_name_id, states)
		SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bytea[])
		ON CONFLICT (bucket, profile_id, event_name_id) DO UPDATE SET states = excluded.states`, w.buckets, w.ids, w.keys, states)
}

type valueRow struct {
	profileID, computation int64
	*engine.Held
}

func (r valueRow) fresh() bool { return r.New }

func (valueRow) table() (string, []string) {
	return "computed_values", []string{"bucket", "profile_id", "computation_id", "value", "since", "reason"}
}

func (r valueRow) values() []any {
	return []any{int32(engine.ProfileBucket(r.profileID)), r.profileID, r.computation, r.Value.AppendJSON(nil), r.Since, string(r.Cause)}
}

func valueRows(profiles []*engine.Profile) []valueRow {
	var rows []valueRow
	for _, p := range profiles {
		for id, h := range p.ChangedValues {
			rows = append(rows, valueRow{p.ID, id, h})
		}
	}
	return rows
}

func saveValues(b *pgx.Batch, rows []valueRow) {
	if len(rows) == 0 {
		return
	}
	var w wanted
	var values, causes []string
	var since []time.Time
	for _, r := range rows {
		w.add(r.profileID, r.computation)
		values = append(values, string(r.Value.AppendJSON(nil)))
		since = append(since, r.Since)
		causes = append(causes, string(r.Cause))
	}
	b.Queue(`INSERT INTO computed_values (bucket, profile_id, computation_id, value, since, reason)
		SELECT u.bucket, u.profile_id, u.computation_id, u.value::jsonb, u.since, u.reason
		FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[], $6::text[])
			AS u (bucket, profile_id, computation_id, value, since, reason)
		ON CONFLICT (bucket, profile_id, computation_id) DO UPDATE
		SET value = excluded.value, since = excluded.since, reason = excluded.reason`, w.buckets, w.ids, w.keys, values, since, causes)
}

type changeRow struct {
	profileID int64
	engine.Change
}

func (changeRow) fresh() bool { return true }

func (changeRow) table() (string, []string) {
	return "value_changes", []string{"bucket", "profile_id", "computation_id", "changed_at", "value", "reason"}
}

func (r changeRow) values() []any {
	return []any{int32(engine.ProfileBucket(r.profileID)), r.profileID, r.Computation.ID, r.At, r.Value.AppendJSON(nil), string(r.Cause)}
}

func changeRows(profiles []*engine.Profile) []changeRow {
	var rows []changeRow
	for _, p := range profiles {
		for _, c := range p.Changes {
			rows = append(rows, changeRow{p.ID, c})
		}
	}
	return rows
}

func saveChanges(b *pgx.Batch, rows []changeRow) {
	if len(rows) == 0 {
		return
	}
	var w wanted
	var values, causes []string
	var at []time.Time
	for _, r := range rows {
		w.add(r.profileID, r.Computation.ID)
		values = append(values, string(r.Value.AppendJSON(nil)))
		at = append(at, r.At)
		causes = append(causes, string(r.Cause))
	}
	b.Queue(`INSERT INTO value_changes (bucket, profile_id, computation_id, changed_at, value, reason)
		SELECT u.bucket, u.profile_id, u.computation_id, u.changed_at, u.value::jsonb, u.reason
		FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[])
			AS u (bucket, profile_id, computation_id, changed_at, value, reason)`, w.buckets, w.ids, w.keys, at, values, causes)
}

type ledgerRow struct {
	profileID int64
	engine.ToldLine
}

func (r ledgerRow) fresh() bool { return r.New }

func (ledgerRow) table() (string, []string) {
	return "ledger", []string{"bucket", "profile_id", "connection_id", "ids", "value", "told", "told_at"}
}

func (r ledgerRow) values() []any {
	return []any{
		int32(engine.ProfileBucket(r.profileID)), r.profileID, r.ConnectionID, r.IDs,
		r.Value.AppendJSON(nil), int32(r.Times), r.At,
	}
}

func ledgerRows(profiles []*engine.Profile) []ledgerRow {
	var rows []ledgerRow
	for _, p := range profiles {
		for line := range p.ChangedTold {
			rows = append(rows, ledgerRow{p.ID, line})
		}
	}
	return rows
}

func saveLedger(b *pgx.Batch, rows []ledgerRow) {
	if len(rows) == 0 {
		return
	}
	var w wanted
	var ids, values []string
	var told []int32
	var at []time.Time
	for _, r := range rows {
		w.add(r.profileID, r.ConnectionID)
		ids = append(ids, r.IDs)
		values = append(values, string(r.Value.AppendJSON(nil)))
		told = append(told, int32(r.Times))
		at = append(at, r.At)
	}
	b.Queue(`INSERT INTO ledger (bucket, profile_id, connection_id, ids, value, told, told_at)
		SELECT u.bucket, u.profile_id, u.connection_id, u.ids, u.value::jsonb, u.told, u.told_at
		FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::int[], $7::timestamptz[])
			AS u (bucket, profile_id, connection_id, ids, value, told, told_at)
		ON CONFLICT (bucket, profile_id, connection_id, ids) DO UPDATE
		SET value = excluded.value, told = excluded.told, told_at = excluded.told_at`, w.buckets, w.ids, w.keys, ids, values, told, at)
}

// saveOverflows keeps book of the values that did not fit into states.
func saveOverflows(b *pgx.Batch, profiles []*engine.Profile) {
	var w wanted
	var dropped []int64
	for _, p := range profiles {
		for leaf, n := range p.Overflows {
			w.add(p.ID, leaf)
			dropped = append(dropped, n)
		}
	}
	if len(dropped) == 0 {
		return
	}
	const these = ` unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[]) AS u (bucket, profile_id, leaf_id, dropped) `
	b.Queue(`DELETE FROM overflows o USING`+these+`
		WHERE o.bucket = u.bucket AND o.profile_id = u.profile_id AND o.leaf_id = u.leaf_id AND u.dropped = 0`, w.buckets, w.ids, w.keys, dropped)
	b.Queue(`INSERT INTO overflows (bucket, profile_id, leaf_id, dropped) SELECT * FROM`+these+`WHERE dropped > 0
		ON CONFLICT (bucket, profile_id, leaf_id) DO UPDATE SET dropped = excluded.dropped`, w.buckets, w.ids, w.keys, dropped)
}
