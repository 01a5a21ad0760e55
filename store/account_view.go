package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
)

// AccountView reads single parts of an account, page by page, all as of one moment.
type AccountView struct {
	view
	GroupID string
}

// ViewAccount lets f look at the account with a group id; engine.ErrUnknownProfile if no
// call has named it.
func (s *Store) ViewAccount(ctx context.Context, groupID string, f func(*AccountView) error) error {
	return s.moment(ctx, func(t pgx.Tx) error {
		v := &AccountView{view{ctx, t, engine.IDBucket("group_id", groupID)}, groupID}
		var known bool
		err := t.QueryRow(ctx, `SELECT EXISTS (SELECT FROM accounts WHERE bucket = $1 AND group_id = $2)`, v.bucket, groupID).Scan(&known)
		if err == nil && !known {
			err = engine.ErrUnknownProfile
		}
		if err != nil {
			return fmt.Errorf("group_id:%s: %w", groupID, err)
		}
		return f(v)
	})
}

// Traits reads traits in the order of their keys. None is computed, so none is of a class.
func (v *AccountView) Traits(p TraitPage) ([]ViewedTrait, error) {
	return page(v.view, "traits of an account", `
		SELECT key, value::text, changed_at FROM account_traits
		WHERE bucket = $1 AND group_id = $2 AND value IS NOT NULL AND value <> 'null' AND $3 = '' AND ($4::text[] IS NULL OR key = ANY ($4))
			AND ($5::text IS NULL OR key COLLATE "C" > $5)
		ORDER BY key COLLATE "C" LIMIT $6`, viewedTrait, v.bucket, v.GroupID, p.Class, p.Keys, p.After, p.Limit)
}

// Metadata reads when the account came to be, and when it was changed last.
func (v *AccountView) Metadata() (createdAt, updatedAt time.Time, err error) {
	err = v.t.QueryRow(v.ctx, `
		SELECT a.created_at, greatest(a.created_at, (SELECT max(changed_at) FROM account_traits WHERE bucket = $1 AND group_id = $2))
		FROM accounts a WHERE a.bucket = $1 AND a.group_id = $2`, v.bucket, v.GroupID).Scan(&createdAt, &updatedAt)
	if err != nil {
		err = fmt.Errorf("read the metadata of an account: %w", err)
	}
	return createdAt, updatedAt, err
}

// ViewedMember is a profile that belongs to an account, with its ids, the oldest first.
type ViewedMember struct {
	ProfileID int64
	IDs       []ViewedID
}

// Members reads who belongs to the account, from after a place on.
func (v *AccountView) Members(after engine.Place, limit int) ([]ViewedMember, error) {
	const ids = `FROM external_ids e WHERE e.bucket = m.bucket AND e.profile_id = m.profile_id ORDER BY e.added_at, e.id_type, e.id_value)`
	type row struct {
		id            int64
		types, values []string
		added         []time.Time
		messages      []string
	}
	rows, err := page(v.view, "members of an account", `
		SELECT m.profile_id, ARRAY(SELECT e.id_type `+ids+`, ARRAY(SELECT e.id_value `+ids+`, ARRAY(SELECT e.added_at `+ids+`, ARRAY(SELECT e.message_id `+ids+`
		FROM account_members m WHERE m.group_id = $1 AND (m.bucket, m.profile_id) > ($2, $3)
		ORDER BY m.bucket, m.profile_id LIMIT $4`,
		func(x *row) []any { return []any{&x.id, &x.types, &x.values, &x.added, &x.messages} }, v.GroupID, after.Bucket, after.ProfileID, limit)
	if err != nil {
		return nil, err
	}
	var members []ViewedMember
	for _, x := range rows {
		m := ViewedMember{ProfileID: x.id}
		for i := range x.types {
			m.IDs = append(m.IDs, ViewedID{Type: x.types[i], Value: x.values[i], AddedAt: x.added[i], MessageID: x.messages[i]})
		}
		members = append(members, m)
	}
	return members, nil
}
