package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"

	"muster/engine"
	"muster/query"
)

// wanted are keys of rows that hang on profiles, as arrays for unnest.
type wanted struct {
	profileColumns
	keys []int64
}

func (w *wanted) add(profileID, key int64) {
	w.profileColumns.add(profileID)
	w.keys = append(w.keys, key)
}

// Load implements engine.Tx: one statement a table, whatever the number of profiles.
func (t *tx) Load(ctx context.Context, wants []engine.Want) error {
	l := loader{profiles: make(map[int64]*engine.Profile, len(wants)), leaves: make(map[int64]*engine.Leaf)}
	for _, w := range wants {
		l.want(w)
	}
	var b pgx.Batch
	l.states(&b)
	l.values(&b)
	l.ledger(&b)
	l.traits(&b)
	if b.Len() == 0 {
		return nil
	}
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("load profiles: %w", err)
	}
	return nil
}

type loader struct {
	profiles     map[int64]*engine.Profile
	leaves       map[int64]*engine.Leaf
	stateKeys    wanted
	valueKeys    wanted
	ledgerKeys   wanted
	traitColumns profileColumns
	traitKeys    []string
}

func (l *loader) want(w engine.Want) {
	id := w.Profile.ID
	l.profiles[id] = w.Profile
	for _, leaf := range w.Leaves {
		l.leaves[leaf.ID] = leaf
		l.stateKeys.add(id, leaf.ID)
	}
	for _, c := range w.Computations {
		l.valueKeys.add(id, c.ID)
	}
	for _, c := range w.Connections {
		l.ledgerKeys.add(id, c.ID)
	}
	for _, key := range w.Traits {
		l.traitColumns.add(id)
		l.traitKeys = append(l.traitKeys, key)
	}
}

func (l *loader) states(b *pgx.Batch) {
	if len(l.stateKeys.keys) == 0 {
		return
	}
	b.Queue(`SELECT s.profile_id, s.leaf_id, s.n, s.total, s.state
		FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS want (bucket, profile_id, leaf_id)
		JOIN leaf_states s USING (bucket, profile_id, leaf_id)`, l.stateKeys.buckets, l.stateKeys.ids, l.stateKeys.keys,
	).Query(func(rows pgx.Rows) error {
		var profile, leaf, n int64
		var total pgtype.Numeric
		var state []byte
		_, err := pgx.ForEachRow(rows, []any{&profile, &leaf, &n, &total, &state}, func() error {
			s := l.profiles[profile].State(l.leaves[leaf])
			s.N = n
			if total.Valid {
				s.Total = decimal.NewFromBigInt(total.Int, total.Exp)
			}
			return s.Decode(s.Leaf.Leaf, state)
		})
		return err
	})
}

func (l *loader) values(b *pgx.Batch) {
	if len(l.valueKeys.keys) == 0 {
		return
	}
	b.Queue(`SELECT v.profile_id, v.computation_id, v.value, v.since, v.reason
		FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS want (bucket, profile_id, computation_id)
		JOIN computed_values v USING (bucket, profile_id, computation_id)`, l.valueKeys.buckets, l.valueKeys.ids, l.valueKeys.keys,
	).Query(func(rows pgx.Rows) error {
		var profile, computation int64
		var raw []byte
		var since time.Time
		var cause string
		_, err := pgx.ForEachRow(rows, []any{&profile, &computation, &raw, &since, &cause}, func() error {
			v, err := query.ParseValue(raw)
			l.profiles[profile].SetHeld(computation, engine.Held{Value: v, Since: since, Cause: engine.Cause(cause)})
			return err
		})
		return err
	})
}

func (l *loader) ledger(b *pgx.Batch) {
	if len(l.ledgerKeys.keys) == 0 {
		return
	}
	b.Queue(`SELECT t.profile_id, t.connection_id, t.ids, t.value, t.told, t.told_at
		FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS want (bucket, profile_id, connection_id)
		JOIN ledger t USING (bucket, profile_id, connection_id)`, l.ledgerKeys.buckets, l.ledgerKeys.ids, l.ledgerKeys.keys,
	).Query(func(rows pgx.Rows) error {
		var profile, connection int64
		var ids string
		var raw []byte
		var told int
		var at time.Time
		_, err := pgx.ForEachRow(rows, []any{&profile, &connection, &ids, &raw, &told, &at}, func() error {
			v, err := query.ParseValue(raw)
			l.profiles[profile].SetTold(connection, ids, engine.Told{Value: v, Times: told, At: at})
			return err
		})
		return err
	})
}

func (l *loader) traits(b *pgx.Batch) {
	if len(l.traitKeys) == 0 {
		return
	}
	b.Queue(`SELECT r.profile_id, r.key, r.value
		FROM unnest($1::int[], $2::bigint[], $3::text[]) AS want (bucket, profile_id, key)
		JOIN traits r USING (bucket, profile_id, key)
		WHERE r.value IS NOT NULL`, l.traitColumns.buckets, l.traitColumns.ids, l.traitKeys,
	).Query(func(rows pgx.Rows) error {
		var profile int64
		var key string
		var raw []byte
		_, err := pgx.ForEachRow(rows, []any{&profile, &key, &raw}, func() error {
			v, err := query.ParseValue(raw)
			l.profiles[profile].SetTrait(key, v)
			return err
		})
		return err
	})
}
