package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"muster/engine"
)

// destination is the one that computations are told to; nothing is delivered to it.
const destination = "mixpanel"

// row is an event as the log keeps it.
type row struct {
	profile, name       int64
	at                  time.Time
	seq, source         int64
	received            time.Time
	message             string
	properties, context []byte
}

var rowColumns = []string{"bucket", "profile_id", "event_name_id", "ts", "seq", "source_id", "received_at", "message_id", "properties", "context"}

func (r *row) values() []any {
	v := []any{int32(engine.ProfileBucket(r.profile)), r.profile, r.name, r.at, r.seq, r.source, r.received, r.message, nil, nil}
	if r.properties != nil {
		v[8] = r.properties
	}
	if r.context != nil {
		v[9] = r.context
	}
	return v
}

// copyRows appends events to a table, in one transaction.
func (d *database) copyRows(ctx context.Context, table string, rows []row) (int64, error) {
	return d.Pool().CopyFrom(ctx, pgx.Identifier{"muster", table}, rowColumns,
		pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return rows[i].values(), nil }))
}

// history is a database that holds traffic as if it had come in long ago.
type history struct {
	*database
	traffic *Traffic
	ids     []int64 // of the event names
	seq     int64   // the last place in the order of arrival
}

// load puts the profiles of the traffic and its history into the product's tables
// directly: that is much faster than ingestion, and no part of what is measured.
func (d *database) load(ctx context.Context, t *Traffic, say func(string, ...any)) (*history, error) {
	h := &history{database: d, traffic: t, ids: make([]int64, len(names))}
	var texts []string
	for _, n := range names {
		texts = append(texts, n.name)
	}
	months := []time.Time{t.End()}
	for at := t.Start; at.Before(t.End().AddDate(0, 1, 0)); at = at.AddDate(0, 0, 20) {
		months = append(months, at)
	}
	if err := d.Prepare(ctx, texts, months); err != nil {
		return nil, err
	}
	for i, text := range texts {
		if err := d.Pool().QueryRow(ctx, `SELECT event_name_id FROM event_names WHERE name = $1`, text).Scan(&h.ids[i]); err != nil {
			return nil, err
		}
	}
	if err := h.loadProfiles(ctx); err != nil {
		return nil, fmt.Errorf("load profiles: %w", err)
	}
	// The key is built once all is there.
	if err := d.exec(ctx, `ALTER TABLE events DROP CONSTRAINT events_pkey`); err != nil {
		return nil, err
	}
	if err := h.loadHours(ctx, 0, t.Hours, say); err != nil {
		return nil, err
	}
	say("building the index of the event log")
	if err := d.exec(ctx, `ALTER TABLE events ADD PRIMARY KEY (bucket, profile_id, event_name_id, ts, seq)`); err != nil {
		return nil, err
	}
	return h, d.settle(ctx)
}

// loadHours appends whole hours to the log and moves the order of arrival on. The log is
// in the order of time, as it would be: one connection copies a day while the next one is
// being made up.
func (h *history) loadHours(ctx context.Context, from, to int, say func(string, ...any)) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(1)
	const day = 24
	for first := from; first < to && gctx.Err() == nil; first += day {
		var rows []row
		for hour := first; hour < min(first+day, to); hour++ {
			rows = h.rows(rows, h.traffic.Hour(hour))
		}
		if first%(10*day) == 0 && to-from > day {
			say("loading history: day %d of %d, %d events", first/day, to/day, h.seq)
		}
		g.Go(func() error {
			_, err := h.copyRows(gctx, "events", rows)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("load events: %w", err)
	}
	// The sequence stands at the beginning of a block of 1,024 places.
	_, err := h.Pool().Exec(ctx, `SELECT setval('event_seq', $1)`, 1+1024*((h.seq+1023)/1024))
	h.seq = 1024 * ((h.seq+1023)/1024 + 1)
	return err
}

func (h *history) rows(rows []row, events []Event) []row {
	for i := range events {
		e := &events[i]
		h.seq++
		rows = append(rows, row{
			profile: e.Profile, name: h.ids[e.Name], at: e.At, seq: h.seq, source: h.source.ID,
			received: e.At, message: e.MessageID, properties: e.Properties, context: e.Context,
		})
	}
	return rows
}

// idsOfUser is how many external ids a known user has: they have all been identified in
// the time of the history.
const idsOfUser = 3

// loadProfiles makes every user, with a user id, an email and an anonymous id.
func (h *history) loadProfiles(ctx context.Context) error {
	n, at := h.traffic.Profiles, h.traffic.Start
	profile := func(i int) (int64, int32) { return int64(i) + 1, int32(engine.ProfileBucket(int64(i) + 1)) }
	id := func(i int) (profileID int64, idType, value string) {
		profileID = int64(i/idsOfUser) + 1
		switch i % idsOfUser {
		case 0:
			return profileID, "user_id", userID(profileID)
		case 1:
			return profileID, "email", email(profileID)
		}
		return profileID, "anonymous_id", anonymousID(profileID)
	}
	_, err := h.Pool().CopyFrom(ctx, pgx.Identifier{"profiles"}, []string{"bucket", "profile_id", "created_at", "ids"},
		pgx.CopyFromSlice(n, func(i int) ([]any, error) {
			p, bucket := profile(i)
			return []any{bucket, p, at, int32(idsOfUser)}, nil
		}))
	if err != nil {
		return err
	}
	_, err = h.Pool().CopyFrom(ctx, pgx.Identifier{"external_ids"}, []string{"bucket", "profile_id", "id_type", "id_value", "added_at", "message_id"},
		pgx.CopyFromSlice(idsOfUser*n, func(i int) ([]any, error) {
			p, idType, value := id(i)
			return []any{int32(engine.ProfileBucket(p)), p, idType, value, at, "loaded"}, nil
		}))
	if err != nil {
		return err
	}
	_, err = h.Pool().CopyFrom(ctx, pgx.Identifier{"id_owners"}, []string{"bucket", "id_type", "id_value", "profile_id"},
		pgx.CopyFromSlice(idsOfUser*n, func(i int) ([]any, error) {
			p, idType, value := id(i)
			return []any{int32(engine.IDBucket(idType, value)), idType, value, p}, nil
		}))
	if err != nil {
		return err
	}
	_, err = h.Pool().Exec(ctx, `SELECT setval('profile_ids', $1)`, n)
	return err
}
