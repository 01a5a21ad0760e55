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

// view reads what is stored at one moment.
type view struct {
	ctx    context.Context
	t      pgx.Tx
	bucket int // of what is looked at
}

// moment runs f in a transaction that sees one moment and changes nothing.
func (s *Store) moment(ctx context.Context, f func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
}

// page runs a statement and reads its rows.
func page[T any](v view, what, statement string, fields func(*T) []any, args ...any) ([]T, error) {
	rows, err := v.t.Query(v.ctx, statement, args...)
	var list []T
	if err == nil {
		err = collect(&list, fields)(rows)
	}
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", what, err)
	}
	return list, nil
}

// ProfileView reads single parts of a profile, page by page, all as of one moment.
type ProfileView struct {
	view
	ProfileID int64
}

// ViewProfile lets f look at the profile that has an external id; engine.ErrUnknownProfile
// if nobody has it.
func (s *Store) ViewProfile(ctx context.Context, id identity.ID, f func(*ProfileView) error) error {
	return s.moment(ctx, func(t pgx.Tx) error {
		id := id.Normal()
		owners, err := (&tx{Tx: t, store: s}).Owners(ctx, []identity.ID{id})
		if err != nil {
			return err
		}
		owner, known := owners[id]
		if !known {
			return fmt.Errorf("%s: %w", id, engine.ErrUnknownProfile)
		}
		return f(&ProfileView{view{ctx, t, engine.ProfileBucket(int64(owner))}, int64(owner)})
	})
}

// TraitPage selects traits. Zero fields select all.
type TraitPage struct {
	Class string   // ClassAudience or ClassComputedTrait
	Keys  []string // nil: all
	After *string  // only keys that come later
	Limit int
}

// The classes of traits that are computed.
const (
	ClassAudience      = "audience"
	ClassComputedTrait = "computed_trait"
)

// ViewedTrait is a trait of a profile, one that a call has set or one that is computed.
type ViewedTrait struct {
	Key       string
	Value     jsontext.Value
	UpdatedAt time.Time
}

func viewedTrait(x *ViewedTrait) []any { return []any{&x.Key, (*[]byte)(&x.Value), &x.UpdatedAt} }

// Traits reads traits in the order of their keys. What is computed goes before what calls
// have set under the same key; what has no value is left out.
func (v *ProfileView) Traits(p TraitPage) ([]ViewedTrait, error) {
	return page(v.view, "traits of a profile", `
		SELECT x.key, x.value::text, x.changed_at FROM (
			SELECT c.key, v.value, v.since AS changed_at, CASE c.kind WHEN 'audience' THEN 'audience' ELSE 'computed_trait' END AS class
			FROM computed_values v JOIN computations c USING (computation_id)
			WHERE v.bucket = $1 AND v.profile_id = $2 AND c.deleted_at IS NULL
			UNION ALL
			SELECT r.key, r.value, r.changed_at, '' FROM traits r
			WHERE r.bucket = $1 AND r.profile_id = $2 AND r.value IS NOT NULL AND NOT EXISTS (
				SELECT FROM computed_values v JOIN computations c USING (computation_id)
				WHERE v.bucket = $1 AND v.profile_id = $2 AND c.deleted_at IS NULL AND c.key = r.key)) x
		WHERE x.value <> 'null' AND ($3 = '' OR x.class = $3) AND ($4::text[] IS NULL OR x.key = ANY ($4))
			AND ($5::text IS NULL OR x.key COLLATE "C" > $5)
		ORDER BY x.key COLLATE "C" LIMIT $6`,
		viewedTrait, v.bucket, v.ProfileID, p.Class, p.Keys, p.After, p.Limit)
}

// ViewedID is an external id of a profile.
type ViewedID struct {
	Type, Value string
	AddedAt     time.Time
	MessageID   string // of the call that brought it
}

// IDs reads external ids, the oldest first, of the types given, nil: all; only those that
// come after one, unless that is nil.
func (v *ProfileView) IDs(types []string, after *ViewedID, limit int) ([]ViewedID, error) {
	if after == nil {
		after = &ViewedID{AddedAt: time.Unix(0, 0)} // before all
	}
	return page(v.view, "ids of a profile", `
		SELECT id_type, id_value, added_at, message_id FROM external_ids
		WHERE bucket = $1 AND profile_id = $2 AND ($3::text[] IS NULL OR id_type = ANY ($3))
			AND (added_at, id_type COLLATE "C", id_value COLLATE "C") > ($4, $5, $6)
		ORDER BY added_at, id_type COLLATE "C", id_value COLLATE "C" LIMIT $7`,
		func(x *ViewedID) []any { return []any{&x.Type, &x.Value, &x.AddedAt, &x.MessageID} }, v.bucket, v.ProfileID, types, after.AddedAt, after.Type, after.Value, limit)
}

// EventPage selects events. Zero fields select all.
type EventPage struct {
	Start, End       *time.Time // stamped between them, both included
	Include, Exclude []string   // names
	Ascending        bool       // the oldest first
	After            *EventPlace
	Limit            int
}

// EventPlace is a place in the order of a profile's events.
type EventPlace struct {
	At  time.Time
	Seq int64
}

// ViewedEvent is an event of a profile.
type ViewedEvent struct {
	EventPlace
	Name, Source, MessageID string
	Properties, Context     jsontext.Value // nil: none
}

const (
	eventsViewed = `
		SELECT e.ts, e.seq, n.name, s.name, e.message_id, e.properties::text, e.context::text
		FROM events e JOIN event_names n USING (event_name_id) JOIN sources s USING (source_id)
		WHERE e.bucket = $1 AND e.profile_id = $2 AND ($3::timestamptz IS NULL OR e.ts >= $3) AND ($4::timestamptz IS NULL OR e.ts <= $4)
			AND ($5::text[] IS NULL OR n.name = ANY ($5)) AND ($6::text[] IS NULL OR n.name <> ALL ($6))
			AND ($7::timestamptz IS NULL OR (e.ts, e.seq) `
	newestViewed = eventsViewed + `< ($7, $8)) ORDER BY e.ts DESC, e.seq DESC LIMIT $9`
	oldestViewed = eventsViewed + `> ($7, $8)) ORDER BY e.ts, e.seq LIMIT $9`
)

// Events reads events in the order of their timestamps, the newest first.
func (v *ProfileView) Events(p EventPage) ([]ViewedEvent, error) {
	statement := newestViewed
	if p.Ascending {
		statement = oldestViewed
	}
	var at *time.Time
	var seq int64
	if p.After != nil {
		at, seq = &p.After.At, p.After.Seq
	}
	return page(v.view, "events of a profile", statement, func(x *ViewedEvent) []any {
		return []any{&x.At, &x.Seq, &x.Name, &x.Source, &x.MessageID, (*[]byte)(&x.Properties), (*[]byte)(&x.Context)}
	}, v.bucket, v.ProfileID, p.Start, p.End, p.Include, p.Exclude, at, seq, p.Limit)
}

// ViewedMetadata is when a profile came to be and was touched last, and by which calls.
type ViewedMetadata struct {
	CreatedAt, UpdatedAt           time.Time
	FirstMessageID, FirstSource    string // of the call that brought its first id; the source if that was an event
	LastMessageID, LastEventSource string // of its latest event; "" if it has none
}

// Metadata reads what is known of the profile as a whole.
func (v *ProfileView) Metadata() (ViewedMetadata, error) {
	list, err := page(v.view, "metadata of a profile", `
		SELECT p.created_at, greatest(p.created_at, l.received_at,
				(SELECT max(added_at) FROM external_ids WHERE bucket = $1 AND profile_id = $2),
				(SELECT max(changed_at) FROM traits WHERE bucket = $1 AND profile_id = $2),
				(SELECT max(since) FROM computed_values WHERE bucket = $1 AND profile_id = $2)),
			coalesce(f.message_id, ''),
			coalesce((SELECT s.name FROM events e JOIN sources s USING (source_id)
				WHERE e.bucket = $1 AND e.profile_id = $2 AND e.message_id = f.message_id LIMIT 1), ''),
			coalesce(l.message_id, ''), coalesce(l.name, '')
		FROM profiles p
		LEFT JOIN LATERAL (SELECT message_id FROM external_ids WHERE bucket = $1 AND profile_id = $2
			ORDER BY added_at, id_type, id_value LIMIT 1) f ON true
		LEFT JOIN LATERAL (SELECT e.message_id, e.received_at, s.name FROM events e JOIN sources s USING (source_id)
			WHERE e.bucket = $1 AND e.profile_id = $2 ORDER BY e.seq DESC LIMIT 1) l ON true
		WHERE p.bucket = $1 AND p.profile_id = $2`, func(x *ViewedMetadata) []any {
		return []any{&x.CreatedAt, &x.UpdatedAt, &x.FirstMessageID, &x.FirstSource, &x.LastMessageID, &x.LastEventSource}
	}, v.bucket, v.ProfileID)
	if err != nil || len(list) == 0 {
		return ViewedMetadata{}, err
	}
	return list[0], nil
}

// ViewedLink is an account that a profile belongs to.
type ViewedLink struct {
	GroupID  string
	LinkedAt time.Time
}

// Links reads the accounts that the profile belongs to, the oldest first; only those that
// come after one, unless that is nil.
func (v *ProfileView) Links(after *ViewedLink, limit int) ([]ViewedLink, error) {
	if after == nil {
		after = &ViewedLink{LinkedAt: time.Unix(0, 0)} // before all
	}
	return page(v.view, "links of a profile", `
		SELECT group_id, linked_at FROM account_members
		WHERE bucket = $1 AND profile_id = $2 AND (linked_at, group_id COLLATE "C") > ($3, $4)
		ORDER BY linked_at, group_id COLLATE "C" LIMIT $5`,
		func(x *ViewedLink) []any { return []any{&x.GroupID, &x.LinkedAt} }, v.bucket, v.ProfileID, after.LinkedAt, after.GroupID, limit)
}
