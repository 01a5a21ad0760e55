package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
)

// SetAliasing notes how destinations, by name, are told that anonymous people have become
// known; the others are as before.
func (s *Store) SetAliasing(ctx context.Context, aliasing map[string]engine.Aliasing) error {
	return pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error {
		changed := false
		for name, how := range aliasing {
			tag, err := t.Exec(ctx, `UPDATE destinations SET aliasing = $2 WHERE name = $1 AND aliasing <> $2`, name, string(how))
			if err != nil {
				return fmt.Errorf("destination %q: %w", name, err)
			}
			changed = changed || tag.RowsAffected() > 0
		}
		if !changed {
			return nil
		}
		return bump(ctx, t)
	})
}

// Alias implements engine.Tx.
func (t *tx) Alias(ctx context.Context, list []engine.Alias, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	heard, err := t.heard(ctx, list)
	if err != nil {
		return fmt.Errorf("look for what %d pairs of ids were told: %w", len(list), err)
	}
	due := engine.DueAliases(list, heard)
	if len(due) == 0 {
		return nil
	}
	fresh, err := t.claimAliases(ctx, due, now)
	if err != nil {
		return fmt.Errorf("note %d aliases: %w", len(due), err)
	}
	calls := make([]engine.Forward, 0, len(fresh))
	for i := range fresh {
		calls = append(calls, fresh[i].Forward(now))
	}
	return t.Forward(ctx, calls, now)
}

// heard reads what the ledger says of each.
func (t *tx) heard(ctx context.Context, list []engine.Alias) ([]engine.Heard, error) {
	var buckets []int32
	var profiles, connections, destinations []int64
	var users, visitors []string
	for _, a := range list {
		buckets, profiles = append(buckets, int32(engine.ProfileBucket(a.ProfileID))), append(profiles, a.ProfileID)
		connections, destinations = append(connections, a.Connection.ID), append(destinations, a.Connection.Destination.ID)
		users = append(users, identity.Combination{UserID: a.User}.Key())
		visitors = append(visitors, identity.Combination{AnonymousID: a.Anonymous}.Key())
	}
	rows, err := t.Query(ctx, `
		SELECT w.place - 1, coalesce(bool_or(g.connection_id = w.connection_id AND l.carrier = w.anonymous), false),
			coalesce(bool_or(g.connection_id = w.connection_id AND l.carrier = w.user_id), false), count(*) FILTER (WHERE l.carrier = w.user_id)
		FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])
			WITH ORDINALITY AS w (bucket, profile_id, connection_id, destination_id, user_id, anonymous, place)
		JOIN ledger g ON g.bucket = w.bucket AND g.profile_id = w.profile_id
		JOIN connections n ON n.connection_id = g.connection_id AND n.destination_id = w.destination_id
		CROSS JOIN LATERAL (SELECT `+carrierOf("g.ids")+` AS carrier) l
		GROUP BY w.place`, buckets, profiles, connections, destinations, users, visitors)
	if err != nil {
		return nil, err
	}
	heard := make([]engine.Heard, len(list))
	var place int
	var h engine.Heard
	_, err = pgx.ForEachRow(rows, []any{&place, &h.Anonymous, &h.User, &h.Lines}, func() error {
		heard[place] = h
		return nil
	})
	return heard, err
}

// claimAliases notes aliases and answers which of them are new.
func (t *tx) claimAliases(ctx context.Context, wanted []engine.Alias, now time.Time) ([]engine.Alias, error) {
	var buckets []int32
	var destinations []int64
	var users, visitors []string
	for _, a := range wanted {
		buckets = append(buckets, int32(engine.IDBucket(identity.UserID, a.User)))
		destinations, users, visitors = append(destinations, a.Connection.Destination.ID), append(users, a.User), append(visitors, a.Anonymous)
	}
	rows, err := t.Query(ctx, `
		INSERT INTO aliases (bucket, user_id, destination_id, anonymous_id, queued_at)
		SELECT w.bucket, w.user_id, w.destination_id, w.anonymous_id, $5
		FROM unnest($1::int[], $2::text[], $3::bigint[], $4::text[]) AS w (bucket, user_id, destination_id, anonymous_id)
		ORDER BY 1, 2, 3, 4 -- so that no two wait for each other
		ON CONFLICT DO NOTHING RETURNING destination_id, user_id, anonymous_id`, buckets, users, destinations, visitors, now)
	if err != nil {
		return nil, err
	}
	type pair struct {
		destination     int64
		user, anonymous string
	}
	claimed := make(map[pair]bool)
	var p pair
	if _, err := pgx.ForEachRow(rows, []any{&p.destination, &p.user, &p.anonymous}, func() error { claimed[p] = true; return nil }); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(wanted, func(a engine.Alias) bool { return !claimed[pair{a.Connection.Destination.ID, a.User, a.Anonymous}] }), nil
}
