package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// A backfill reads stretches of profiles whole: one range of an index, where the same
// rows one by one would cost a descent each, and most of them do not exist.

// inStretch selects the rows of a stretch: $1 to $4.
const inStretch = ` (bucket, profile_id) > ($1, $2) AND (bucket, profile_id) <= ($3, $4) `

func stretchBounds(s engine.Stretch) []any {
	return []any{s.After.Bucket, s.After.ProfileID, s.Through.Bucket, s.Through.ProfileID}
}

// LoadStretch implements engine.Tx.
func (t *tx) LoadStretch(ctx context.Context, s engine.Stretch, profiles map[int64]*engine.Profile, want engine.Want) error {
	l := loader{profiles: profiles, names: make(map[int64]string), numbers: make(map[string]int64)}
	if err := l.learn(ctx, t, []engine.Want{want}); err != nil {
		return err
	}
	var names, computations, connections []int64
	for _, number := range l.numbers {
		names = append(names, number)
	}
	for _, c := range want.Computations {
		computations = append(computations, c.ID)
	}
	for _, c := range want.Connections {
		connections = append(connections, c.ID)
	}
	var b pgx.Batch
	read := func(sql string, keys any, into func(pgx.Rows) error) {
		b.Queue(sql, append(stretchBounds(s), keys)...).Query(into)
	}
	if len(names) > 0 {
		read(stateColumns+`FROM leaf_states s WHERE`+inStretch+`AND event_name_id = ANY($5)`, names, l.readStates)
	}
	if len(computations) > 0 {
		read(valueColumns+`FROM computed_values v WHERE`+inStretch+`AND computation_id = ANY($5)`, computations, l.readValues)
	}
	if len(connections) > 0 {
		read(ledgerColumns+`FROM ledger t WHERE`+inStretch+`AND connection_id = ANY($5)`, connections, l.readLedger)
	}
	if len(want.Traits) > 0 {
		read(traitColumns+`FROM traits r WHERE`+inStretch+`AND key = ANY($5) AND value IS NOT NULL`, want.Traits, l.readTraits)
	}
	if b.Len() == 0 {
		return nil
	}
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("load a stretch of profiles: %w", err)
	}
	return nil
}

// HistoryOf implements engine.Tx. Columns that nobody looks at are left out: with what is
// in the primary key alone, PostgreSQL need not visit the events themselves.
func (t *tx) HistoryOf(ctx context.Context, s engine.Stretch, r engine.Reading, yield func(int64, *query.Event) error) error {
	names, err := t.store.numbers(ctx, t, r.Names)
	if err != nil || len(names) == 0 {
		return err
	}
	var profile, name, source int64
	var properties, context []byte
	e := &query.Event{}
	columns, into := []string{"profile_id", "event_name_id", "ts", "seq"}, []any{&profile, &name, &e.Time, &e.Arrival}
	optional := func(wanted bool, column string, v any) {
		if wanted {
			columns, into = append(columns, column), append(into, v)
		}
	}
	optional(r.Source, "source_id", &source)
	optional(r.Properties, "properties", &properties)
	optional(r.Context, "context", &context)
	args := append(stretchBounds(s), names, r.UpTo)
	sql := `SELECT ` + strings.Join(columns, ", ") + ` FROM events WHERE` + inStretch + `AND event_name_id = ANY($5) AND seq <= $6`
	if !r.Since.IsZero() {
		sql += ` AND ts >= $7`
		args = append(args, r.Since)
	}
	rows, err := t.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("read the history of a stretch of profiles: %w", err)
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		t.store.mu.RLock()
		e.Name, e.Source = t.store.names[name], t.store.sources[source]
		t.store.mu.RUnlock()
		e.Properties, e.Context = properties, context
		return yield(profile, e)
	})
	return err
}

// Links implements engine.Tx. Few are looked up one by one, many are read in one range
// with those of the others.
func (t *tx) Links(ctx context.Context, s engine.Stretch, all int, profiles []*engine.Profile) error {
	if len(profiles) == 0 {
		return nil
	}
	into := make(map[int64]*[]identity.Link, len(profiles))
	var c profileColumns
	for _, p := range profiles {
		into[p.ID] = &p.Links
		c.add(p.ID)
	}
	sql, args := linkColumns+`FROM external_ids e WHERE`+inStretch, stretchBounds(s)
	if len(profiles) < all/3 {
		sql, args = linkColumns+linksOf, []any{c.buckets, c.ids}
	}
	rows, err := t.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	return collectLinks(rows, into)
}
