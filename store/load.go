package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

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
	l := loader{profiles: make(map[int64]*engine.Profile, len(wants)), names: make(map[int64]string), numbers: make(map[string]int64)}
	if err := l.learn(ctx, t, wants); err != nil {
		return err
	}
	for _, w := range wants {
		if err := l.want(w); err != nil {
			return err
		}
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

// What is read of each table; a row of a profile that was not asked for is passed over.
const (
	stateColumns  = `SELECT s.profile_id, s.event_name_id, s.states `
	valueColumns  = `SELECT v.profile_id, v.computation_id, v.value, v.since, v.reason `
	ledgerColumns = `SELECT t.profile_id, t.connection_id, t.ids, t.value, t.told, t.told_at `
	traitColumns  = `SELECT r.profile_id, r.key, r.value `
)

type loader struct {
	profiles     map[int64]*engine.Profile
	names        map[int64]string // of the events wanted, by number
	numbers      map[string]int64
	stateKeys    wanted
	all          profileColumns // with all values and ledgers
	valueKeys    wanted
	ledgerKeys   wanted
	traitColumns profileColumns
	traitKeys    []string
}

// learn finds the numbers of the events wanted. One that has none in the database, as it
// is now that the profiles are locked, has no states either.
func (l *loader) learn(ctx context.Context, t *tx, wants []engine.Want) error {
	var names []string
	seen := make(map[string]bool)
	for _, w := range wants {
		for _, name := range w.Events {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	if _, err := t.store.numbers(ctx, t, names); err != nil {
		return err
	}
	t.store.mu.RLock()
	defer t.store.mu.RUnlock()
	for _, name := range names {
		if id, ok := t.store.nameIDs[name]; ok {
			l.numbers[name], l.names[id] = id, name
		}
	}
	return nil
}

func (l *loader) want(w engine.Want) error {
	id := w.Profile.ID
	l.profiles[id] = w.Profile
	for _, name := range w.Events {
		if err := w.Profile.SetStates(name, nil); err != nil {
			return err
		}
		if number, ok := l.numbers[name]; ok {
			l.stateKeys.add(id, number)
		}
	}
	if w.All {
		l.all.add(id)
	} else {
		for _, c := range w.Computations {
			l.valueKeys.add(id, c.ID)
		}
		for _, c := range w.Connections {
			l.ledgerKeys.add(id, c.ID)
		}
	}
	for _, key := range w.Traits {
		l.traitColumns.add(id)
		l.traitKeys = append(l.traitKeys, key)
	}
	return nil
}

func (l *loader) states(b *pgx.Batch) {
	if len(l.stateKeys.keys) == 0 {
		return
	}
	b.Queue(stateColumns+`
		FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS want (bucket, profile_id, event_name_id)
		JOIN leaf_states s USING (bucket, profile_id, event_name_id)`, l.stateKeys.buckets, l.stateKeys.ids, l.stateKeys.keys,
	).Query(l.readStates)
}

func (l *loader) readStates(rows pgx.Rows) error {
	var profile, name int64
	var states []byte
	_, err := pgx.ForEachRow(rows, []any{&profile, &name, &states}, func() error {
		if p := l.profiles[profile]; p != nil {
			return p.SetStates(l.names[name], slices.Clone(states))
		}
		return nil
	})
	return err
}

func (l *loader) values(b *pgx.Batch) {
	if len(l.valueKeys.keys) > 0 {
		b.Queue(valueColumns+`FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS want (bucket, profile_id, computation_id)
			JOIN computed_values v USING (bucket, profile_id, computation_id)`, l.valueKeys.buckets, l.valueKeys.ids, l.valueKeys.keys).Query(l.readValues)
	}
	if len(l.all.ids) > 0 {
		b.Queue(valueColumns+`FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id)
			JOIN computed_values v USING (bucket, profile_id)`, l.all.buckets, l.all.ids).Query(l.readValues)
	}
}

func (l *loader) readValues(rows pgx.Rows) error {
	var profile, computation int64
	var raw []byte
	var since time.Time
	var cause string
	_, err := pgx.ForEachRow(rows, []any{&profile, &computation, &raw, &since, &cause}, func() error {
		p := l.profiles[profile]
		if p == nil {
			return nil
		}
		v, err := query.ParseValue(raw)
		p.SetHeld(computation, engine.Held{Value: v, Since: since, Cause: engine.Cause(cause)})
		return err
	})
	return err
}

func (l *loader) ledger(b *pgx.Batch) {
	if len(l.ledgerKeys.keys) > 0 {
		b.Queue(ledgerColumns+`FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS want (bucket, profile_id, connection_id)
			JOIN ledger t USING (bucket, profile_id, connection_id)`, l.ledgerKeys.buckets, l.ledgerKeys.ids, l.ledgerKeys.keys).Query(l.readLedger)
	}
	if len(l.all.ids) > 0 {
		b.Queue(ledgerColumns+`FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id)
			JOIN ledger t USING (bucket, profile_id)`, l.all.buckets, l.all.ids).Query(l.readLedger)
	}
}

func (l *loader) readLedger(rows pgx.Rows) error {
	var profile, connection int64
	var ids string
	var raw []byte
	var told int
	var at time.Time
	_, err := pgx.ForEachRow(rows, []any{&profile, &connection, &ids, &raw, &told, &at}, func() error {
		p := l.profiles[profile]
		if p == nil {
			return nil
		}
		v, err := query.ParseValue(raw)
		p.SetTold(connection, ids, engine.Told{Value: v, Times: told, At: at})
		return err
	})
	return err
}

func (l *loader) traits(b *pgx.Batch) {
	if len(l.traitKeys) == 0 {
		return
	}
	b.Queue(traitColumns+`
		FROM unnest($1::int[], $2::bigint[], $3::text[]) AS want (bucket, profile_id, key)
		JOIN traits r USING (bucket, profile_id, key)
		WHERE r.value IS NOT NULL`, l.traitColumns.buckets, l.traitColumns.ids, l.traitKeys,
	).Query(l.readTraits)
}

func (l *loader) readTraits(rows pgx.Rows) error {
	var profile int64
	var key string
	var raw []byte
	_, err := pgx.ForEachRow(rows, []any{&profile, &key, &raw}, func() error {
		p := l.profiles[profile]
		if p == nil {
			return nil
		}
		v, err := query.ParseValue(raw)
		p.SetTrait(key, v)
		return err
	})
	return err
}
