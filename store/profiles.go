package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
)

// idColumns are external ids as arrays for unnest.
type idColumns struct {
	buckets []int32
	types   []string
	values  []string
}

func (c *idColumns) add(id identity.ID) {
	c.buckets = append(c.buckets, int32(engine.IDBucket(id.Type, id.Value)))
	c.types = append(c.types, id.Type)
	c.values = append(c.values, id.Value)
}

// profileColumns are keys of profiles as arrays for unnest.
type profileColumns struct {
	buckets []int32
	ids     []int64
}

func (c *profileColumns) add(id int64) {
	c.buckets = append(c.buckets, int32(engine.ProfileBucket(id)))
	c.ids = append(c.ids, id)
}

func columnsOf(ids []int64) profileColumns {
	c := profileColumns{buckets: make([]int32, 0, len(ids)), ids: make([]int64, 0, len(ids))}
	for _, id := range ids {
		c.add(id)
	}
	return c
}

// Owners implements engine.Records.
func (t *tx) Owners(ctx context.Context, ids []identity.ID) (map[identity.ID]identity.ProfileID, error) {
	var c idColumns
	for _, id := range ids {
		c.add(id)
	}
	rows, err := t.Query(ctx, `
		SELECT o.id_type, o.id_value, o.profile_id
		FROM unnest($1::int[], $2::text[], $3::text[]) AS want (bucket, id_type, id_value)
		JOIN id_owners o USING (bucket, id_type, id_value)`, c.buckets, c.types, c.values)
	if err != nil {
		return nil, err
	}
	owners := make(map[identity.ID]identity.ProfileID, len(ids))
	var id identity.ID
	var owner int64
	_, err = pgx.ForEachRow(rows, []any{&id.Type, &id.Value, &owner}, func() error {
		owners[id] = identity.ProfileID(owner)
		return nil
	})
	return owners, err
}

// LockOwners implements engine.Tx.
func (t *tx) LockOwners(ctx context.Context, ids []identity.ID) ([]identity.Profile, error) {
	known := &t.store.knownIDs
	owners := make(map[identity.ID]int64, len(ids))
	unknown := make([]identity.ID, 0, len(ids))
	for _, id := range ids {
		if owner, ok := known.owner(id); ok {
			owners[id] = owner
		} else {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) > 0 {
		found, err := t.Owners(ctx, unknown)
		if err != nil {
			return nil, err
		}
		for id, owner := range found {
			owners[id] = int64(owner)
		}
	}
	wanted := make(map[int64]bool, len(owners))
	for _, owner := range owners {
		wanted[owner] = true
	}
	profiles, err := t.LockProfiles(ctx, slices.Collect(maps.Keys(wanted)))
	if err != nil {
		return nil, err
	}
	has := make(map[identity.ID]int64, 2*len(ids))
	for _, p := range profiles {
		for _, l := range p.Links {
			has[l.ID] = int64(p.ID)
		}
	}
	for id, owner := range owners {
		if has[id] != owner { // merged or deleted between the look-up and the lock, or since it was remembered
			known.forget(id)
			err = fmt.Errorf("%w: %s has another owner", engine.ErrAgain, id.Type)
		}
	}
	return profiles, err
}

// LockProfiles implements engine.Tx.
func (t *tx) LockProfiles(ctx context.Context, ids []int64) ([]identity.Profile, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	c := columnsOf(slices.SortedFunc(slices.Values(ids), engine.CompareProfiles))
	rows, err := t.Query(ctx, `
		SELECT p.profile_id, p.created_at, p.merges, p.ids, p.suppressed
		FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id) JOIN profiles p USING (bucket, profile_id)
		ORDER BY p.bucket, p.profile_id FOR NO KEY UPDATE OF p`, c.buckets, c.ids)
	if err != nil {
		return nil, err
	}
	return t.withLinks(ctx, rows)
}

// withLinks reads locked profiles and fills in their external ids, oldest first.
func (t *tx) withLinks(ctx context.Context, rows pgx.Rows) ([]identity.Profile, error) {
	known := &t.store.knownIDs
	var unread profileColumns
	var at []int // of those in profiles
	var counts []int
	var profiles []identity.Profile
	var p identity.Profile
	var id int64
	var count int
	_, err := pgx.ForEachRow(rows, []any{&id, &p.CreatedAt, &p.Merges, &count, &p.Suppressed}, func() error {
		p.ID = identity.ProfileID(id)
		var ok bool
		if p.Links, ok = known.linksOf(id, count); !ok {
			p.Links = nil
			unread.add(id)
			at = append(at, len(profiles))
			counts = append(counts, count)
		}
		profiles = append(profiles, p)
		return nil
	})
	if err != nil || len(at) == 0 {
		return profiles, err
	}
	if err := t.readLinks(ctx, profiles, unread, at); err != nil {
		return nil, err
	}
	for i, n := range at {
		if links := profiles[n].Links; len(links) == counts[i] {
			known.remember(int64(profiles[n].ID), links)
		}
	}
	return profiles, nil
}

// readLinks reads the external ids of the profiles at some places.
func (t *tx) readLinks(ctx context.Context, profiles []identity.Profile, c profileColumns, at []int) error {
	place := make(map[int64]*[]identity.Link, len(at))
	for _, n := range at {
		place[int64(profiles[n].ID)] = &profiles[n].Links
	}
	rows, err := t.Query(ctx, linkColumns+linksOf, c.buckets, c.ids)
	if err != nil {
		return err
	}
	return collectLinks(rows, place)
}

const (
	linkColumns = `SELECT e.profile_id, e.id_type, e.id_value, e.added_at `
	linksOf     = `FROM unnest($1::int[], $2::bigint[]) AS want (bucket, profile_id) JOIN external_ids e USING (bucket, profile_id)`
)

// collectLinks reads external ids to where their profiles want them, oldest first.
func collectLinks(rows pgx.Rows, into map[int64]*[]identity.Link) error {
	var id int64
	var link identity.Link
	_, err := pgx.ForEachRow(rows, []any{&id, &link.ID.Type, &link.ID.Value, &link.AddedAt}, func() error {
		if links := into[id]; links != nil {
			*links = append(*links, link)
		}
		return nil
	})
	for _, links := range into {
		slices.SortFunc(*links, func(a, b identity.Link) int {
			return cmp.Or(a.AddedAt.Compare(b.AddedAt), cmp.Compare(a.ID.Type, b.ID.Type), cmp.Compare(a.ID.Value, b.ID.Value))
		})
	}
	return err
}

// NextProfiles implements engine.Tx.
func (t *tx) NextProfiles(ctx context.Context, b *engine.Backfill, n int) ([]engine.Locked, error) {
	rows, err := t.Query(ctx, `
		SELECT profile_id, suppressed FROM profiles
		WHERE (bucket, profile_id) > ($1, $2) AND profile_id <= $3
		ORDER BY bucket, profile_id LIMIT $4 FOR NO KEY UPDATE`, b.At.Bucket, b.At.ProfileID, b.MaxProfileID, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Locked])
}

// ProfilesAfter implements engine.Tx.
func (t *tx) ProfilesAfter(ctx context.Context, after engine.Place, n int) ([]int64, error) {
	rows, err := t.Query(ctx, `
		SELECT profile_id FROM profiles WHERE (bucket, profile_id) > ($1, $2) ORDER BY bucket, profile_id LIMIT $3`,
		after.Bucket, after.ProfileID, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// Heirs implements engine.Tx.
func (t *tx) Heirs(ctx context.Context, gone []int64) (map[int64]int64, error) {
	heirs := make(map[int64]int64, len(gone))
	for ask := gone; len(ask) > 0; { // merged profiles may have been merged again
		c := columnsOf(ask)
		rows, err := t.Query(ctx, `
			SELECT m.loser_id, m.survivor_id
			FROM unnest($1::int[], $2::bigint[]) AS want (bucket, loser_id)
			JOIN profile_merges m USING (bucket, loser_id)`, c.buckets, c.ids)
		if err != nil {
			return nil, err
		}
		ask = nil
		var loser, survivor int64
		_, err = pgx.ForEachRow(rows, []any{&loser, &survivor}, func() error {
			heirs[loser] = survivor
			ask = append(ask, survivor)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	final := make(map[int64]int64, len(gone))
	for _, id := range gone {
		heir, ok := heirs[id]
		for next := heir; ok; next, ok = heirs[heir] {
			heir = next
			final[id] = heir
		}
	}
	return final, nil
}

// NewProfileIDs implements engine.Tx.
func (t *tx) NewProfileIDs(ctx context.Context, n int) ([]int64, error) {
	if n == 0 {
		return nil, nil
	}
	rows, err := t.Query(ctx, `SELECT nextval('profile_ids') FROM generate_series(1, $1)`, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// SaveIdentity implements engine.Tx.
func (t *tx) SaveIdentity(ctx context.Context, d identity.Diff, violations []engine.Violation, origin map[identity.ID]string, now time.Time) error {
	var b pgx.Batch
	if len(d.Created) > 0 {
		var c profileColumns
		var at []time.Time
		var merges, ids []int32
		for _, p := range d.Created {
			c.add(int64(p.ID))
			at = append(at, p.CreatedAt)
			merges = append(merges, int32(p.Merges))
			ids = append(ids, int32(len(p.Links)))
		}
		b.Queue(`INSERT INTO profiles (bucket, profile_id, created_at, merges, ids)
			SELECT * FROM unnest($1::int[], $2::bigint[], $3::timestamptz[], $4::int[], $5::int[])`, c.buckets, c.ids, at, merges, ids)
	}
	if len(d.Grown) > 0 {
		var c profileColumns
		var merges, ids []int32
		for _, p := range d.Grown {
			c.add(int64(p.ID))
			merges = append(merges, int32(p.Merges))
			ids = append(ids, int32(len(p.Links)))
		}
		b.Queue(`UPDATE profiles p SET merges = n.merges, ids = n.ids
			FROM unnest($1::int[], $2::bigint[], $3::int[], $4::int[]) AS n (bucket, profile_id, merges, ids)
			WHERE p.bucket = n.bucket AND p.profile_id = n.profile_id`, c.buckets, c.ids, merges, ids)
	}
	if len(violations) > 0 {
		queueViolations(&b, violations, now)
	}
	if len(d.Mapped) > 0 {
		queueLinks(&b, d.Mapped, origin)
	}
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if len(d.Mapped) == 0 {
		return nil
	}
	var c idColumns
	var owners []int64
	for _, m := range d.Mapped {
		c.add(m.Link.ID)
		owners = append(owners, int64(m.Profile))
	}
	tag, err := t.Exec(ctx, `
		INSERT INTO id_owners (bucket, id_type, id_value, profile_id)
		SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[]) AS n (bucket, id_type, id_value, profile_id)
		ORDER BY bucket, id_type, id_value
		ON CONFLICT DO NOTHING`, c.buckets, c.types, c.values, owners)
	if err != nil {
		return err
	}
	if tag.RowsAffected() < int64(len(d.Mapped)) {
		return fmt.Errorf("%w: an id was taken meanwhile", engine.ErrAgain)
	}
	return nil
}

func queueLinks(b *pgx.Batch, mapped []identity.Mapping, origin map[identity.ID]string) {
	var c profileColumns
	var types, values, messages []string
	var added []time.Time
	for _, m := range mapped {
		c.add(int64(m.Profile))
		types = append(types, m.Link.ID.Type)
		values = append(values, m.Link.ID.Value)
		added = append(added, m.Link.AddedAt)
		messages = append(messages, origin[m.Link.ID])
	}
	b.Queue(`INSERT INTO external_ids (bucket, profile_id, id_type, id_value, added_at, message_id)
		SELECT * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])`,
		c.buckets, c.ids, types, values, added, messages)
}

func queueViolations(b *pgx.Batch, violations []engine.Violation, now time.Time) {
	var c profileColumns
	var types, values, rules, reasons, messages []string
	for _, v := range violations {
		c.add(v.ProfileID)
		types = append(types, v.ID.Type)
		values = append(values, v.ID.Value)
		rules = append(rules, string(v.Rule))
		reasons = append(reasons, v.Reason)
		messages = append(messages, v.MessageID)
	}
	b.Queue(`INSERT INTO identity_violations (bucket, profile_id, id_type, id_value, rule, reason, message_id, happened_at)
		SELECT u.*, $8 FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) AS u`,
		c.buckets, c.ids, types, values, rules, reasons, messages, now)
}
