package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

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

// LoadStretch implements engine.Reader.
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

// HistoryOf implements engine.Reader. Columns that nobody looks at are left out: with what is
// in the primary key alone, PostgreSQL need not visit the events themselves.
func (t *tx) HistoryOf(ctx context.Context, s engine.Stretch, r engine.Reading, yield func(int64, *query.Event) error) error {
	numbers, err := t.store.numbers(ctx, t, r.Names)
	if err != nil || len(numbers) == 0 {
		return err
	}
	names, sources := t.store.called(numbers)
	e := &query.Event{}
	var profile int64
	columns := []string{"profile_id", "event_name_id", "ts", "seq"}
	read := []func(raw []byte){
		func(raw []byte) { profile = bigint(raw) },
		func(raw []byte) { e.Name = names[bigint(raw)] },
		func(raw []byte) { e.Time = instant(raw) },
		func(raw []byte) { e.Arrival = bigint(raw) },
	}
	optional := func(wanted bool, column string, f func(raw []byte)) {
		if wanted {
			columns, read = append(columns, column), append(read, f)
		}
	}
	optional(r.Source, "source_id", func(raw []byte) { e.Source = sources[bigint(raw)] })
	optional(r.Properties, "properties::text", func(raw []byte) { e.Properties = raw })
	optional(r.Context, "context::text", func(raw []byte) { e.Context = raw })
	args := append(stretchBounds(s), numbers, r.UpTo)
	sql := `SELECT ` + strings.Join(columns, ", ") + ` FROM events WHERE` + inStretch + `AND event_name_id = ANY($5) AND seq <= $6`
	if !r.Since.IsZero() {
		sql += ` AND ts >= $7`
		args = append(args, r.Since)
	}
	rows, err := t.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("read the history of a stretch of profiles: %w", err)
	}
	defer rows.Close()
	// A backfill reads every event there is: values are taken as they lie on the wire,
	// texts without a copy.
	for rows.Next() {
		for i, raw := range rows.RawValues() {
			read[i](raw)
		}
		if err := yield(profile, e); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Count implements engine.Reader. What would bound a range from both sides is left to the
// filters: it would make one of the BRIN indexes look better than the key, which leads to
// the stretch.
func (t *tx) Count(ctx context.Context, s engine.Stretch, countings []engine.Counting, yield func(profileID, all int64, n []int64)) error {
	var names []string
	for _, c := range countings {
		names = append(names, c.Name)
	}
	numbers, err := t.store.numbers(ctx, t, names)
	if err != nil || len(numbers) == 0 {
		return err
	}
	args := append(stretchBounds(s), numbers)
	param := func(arg any) string {
		args = append(args, arg)
		return "$" + strconv.Itoa(len(args))
	}
	var columns strings.Builder
	var since time.Time
	upTo, bounded := int64(0), true
	for _, c := range countings {
		upTo = max(upTo, c.UpTo)
		if bounded = bounded && !c.From.IsZero(); since.IsZero() || c.From.Before(since) {
			since = c.From
		}
		filter := "event_name_id = " + param(t.store.number(c.Name)) + " AND seq <= " + param(c.UpTo)
		if c.After > 0 {
			filter += " AND seq > " + param(c.After)
		}
		if !c.From.IsZero() {
			filter += " AND ts >= " + param(c.From)
		}
		if !c.To.IsZero() {
			filter += " AND ts <= " + param(c.To)
		}
		columns.WriteString(", count(*) FILTER (WHERE " + filter + ")")
	}
	sql := `SELECT profile_id, count(*)` + columns.String() + ` FROM events WHERE` + inStretch + `AND event_name_id = ANY($5) AND seq <= ` + param(upTo)
	if bounded {
		sql += ` AND ts >= ` + param(since)
	}
	rows, err := t.Query(ctx, sql+` GROUP BY profile_id`, args...)
	if err != nil {
		return fmt.Errorf("count events of a stretch of profiles: %w", err)
	}
	defer rows.Close()
	n := make([]int64, len(countings))
	for rows.Next() {
		raw := rows.RawValues()
		for i := range n {
			n[i] = bigint(raw[i+2])
		}
		yield(bigint(raw[0]), bigint(raw[1]), n)
	}
	return rows.Err()
}

// called are the names of events with these numbers, and those of all sources.
func (s *Store) called(numbers []int64) (names, sources map[int64]string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names = make(map[int64]string, len(numbers))
	for _, n := range numbers {
		names[n] = s.names[n]
	}
	return names, maps.Clone(s.sources)
}

// The binary forms in which pgx asks for numbers and times.

func bigint(raw []byte) int64 { return int64(binary.BigEndian.Uint64(raw)) }

// instant reads microseconds since 2000.
func instant(raw []byte) time.Time {
	const y2000 = 946_684_800
	return time.UnixMicro(bigint(raw) + y2000*1_000_000).UTC()
}

// Links implements engine.Reader. Few are looked up one by one, many are read in one range
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
