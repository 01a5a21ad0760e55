package app_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// Profiles may be merged or deleted after a slot has read the event log and before it has
// locked them. What it read of them goes to who has their history now.
func TestMergesAndDeletionsWithinASlot(t *testing.T) {
	for _, test := range []struct {
		name   string
		before []string               // calls, an hour before the slot
		after  []string               // calls that the slot reads
		within func(*testing.T, *lab) // happens between its reading and its locks
		want   map[identity.ID]int64  // events within the hour
		gone   []identity.ID
	}{
		{
			name: "the loser had something, the survivor nothing", before: []string{"u1 Left 0"}, after: []string{"a1 Seen 0", "a1 Seen 0"},
			within: func(t *testing.T, l *lab) { l.ingest(t, *l.now, "a1+u1 Left 0") },
			want:   map[identity.ID]int64{user("u1"): 2, visitor("a1"): 2},
		},
		{
			name: "both had something", before: []string{"u1 Seen 0", "a1 Seen 0"}, after: []string{"a1 Seen 0", "u1 Seen 0", "u1 Seen 0"},
			within: func(t *testing.T, l *lab) { l.ingest(t, *l.now, "a1+u1 Left 0") },
			want:   map[identity.ID]int64{user("u1"): 3},
		},
		{
			name: "two losers, one heir", before: []string{"u1 Left 0"}, after: []string{"a1 Seen 0", "a2 Seen 0", "a3 Seen 0"},
			within: func(t *testing.T, l *lab) { l.ingest(t, *l.now, "a1+u1 Left 0", "a2+u1 Left 0", "a3+u1 Left 0") },
			want:   map[identity.ID]int64{user("u1"): 3},
		},
		{
			name: "an heir who is merged away as well", before: []string{"a9 Left 0", "u1 Left 0"}, after: []string{"a1 Seen 0", "a1 Seen 0"},
			within: func(t *testing.T, l *lab) {
				l.ingest(t, *l.now, "a1+u1 Left 0")
				l.ingest(t, *l.now, "a9+u1 Left 0")
			},
			want: map[identity.ID]int64{user("u1"): 2},
		},
		{
			name: "many, so that heirs are in chunks before and behind", before: []string{"u1 Left 0", "u2 Seen 0", "u3 Left 0"},
			after: []string{"a1 Seen 0", "a2 Seen 0", "a3 Seen 0", "a4 Seen 0", "a5 Seen 0", "a6 Seen 0", "u2 Seen 0"},
			within: func(t *testing.T, l *lab) {
				l.ingest(t, *l.now, "a1+u1 Left 0", "a2+u2 Left 0", "a3+u3 Left 0", "a4+u1 Left 0", "a5+u2 Left 0", "a6+u3 Left 0")
			},
			want: map[identity.ID]int64{user("u1"): 2, user("u2"): 3, user("u3"): 2},
		},
		{
			name: "deleted", after: []string{"u1 Seen 0", "u2 Seen 0"},
			within: func(t *testing.T, l *lab) {
				if _, err := l.app.Engine.DeleteProfile(t.Context(), []identity.ID{user("u1")}, *l.now); err != nil {
					t.Fatal(err)
				}
			},
			want: map[identity.ID]int64{user("u2"): 1}, gone: []identity.ID{user("u1")},
		},
		{
			name: "merged, then deleted", after: []string{"a1 Seen 0", "u2 Seen 0"},
			within: func(t *testing.T, l *lab) {
				l.ingest(t, *l.now, "a1+u1 Left 0")
				if _, err := l.app.Engine.DeleteProfile(t.Context(), []identity.ID{user("u1")}, *l.now); err != nil {
					t.Fatal(err)
				}
			},
			want: map[identity.ID]int64{user("u2"): 1}, gone: []identity.ID{user("u1"), visitor("a1")},
		},
	} {
		for _, chunk := range []int{1, 2, 100} {
			t.Run(fmt.Sprintf("%s, in chunks of %d", test.name, chunk), func(t *testing.T) {
				now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
				l := newLab(t, &now)
				l.define(t, engine.Definition{Key: "seen", Kind: query.Trait, IncludeAnonymous: true, Query: "event('Seen').within(1 hour).count()"})
				if len(test.before) > 0 {
					l.ingest(t, now.Add(-30*time.Minute), test.before...)
				}
				l.settle(t)
				now = now.Add(50 * time.Minute)
				l.ingest(t, now, test.after...)
				now = now.Add(10 * time.Minute)

				rules, err := identity.DefaultSettings().Compile()
				if err != nil {
					t.Fatal(err)
				}
				once := false
				slots := engine.New(meddled{l.app.Store, func() {
					if !once {
						once = true
						test.within(t, l)
					}
				}}, rules)
				slots.SetChunk(chunk, 1)
				if _, err := slots.RunSlot(t.Context(), engine.DefaultSchedule, now, now); err != nil || !once {
					t.Fatal(once, err)
				}
				for id, want := range test.want {
					var got int64
					err := l.pool.QueryRow(t.Context(), `
						SELECT (v.value #>> '{}')::bigint FROM id_owners o JOIN computed_values v USING (profile_id) WHERE o.id_type = $1 AND o.id_value = $2`,
						id.Type, id.Value).Scan(&got)
					if err != nil || got != want {
						t.Errorf("%s has %d, %v; want %d", id, got, err, want)
					}
				}
				for _, id := range test.gone {
					var owner int64
					err := l.pool.QueryRow(t.Context(), `SELECT profile_id FROM id_owners WHERE id_type = $1 AND id_value = $2`, id.Type, id.Value).Scan(&owner)
					if !errors.Is(err, pgx.ErrNoRows) {
						t.Errorf("%s belongs to %d, %v", id, owner, err)
					}
				}
				var strays int
				err = l.pool.QueryRow(t.Context(), `
					SELECT count(*) FROM (SELECT profile_id FROM computed_values UNION SELECT profile_id FROM leaf_states UNION SELECT profile_id FROM ledger
						UNION SELECT profile_id FROM due_evaluations) x WHERE NOT EXISTS (SELECT 1 FROM profiles p WHERE p.profile_id = x.profile_id)`).Scan(&strays)
				if err != nil || strays > 0 {
					t.Errorf("something is stored of %d profiles that are not there, %v", strays, err)
				}
				if found := l.verify(t, engine.VerifyOptions{}); found != nil {
					t.Errorf("verify: %v", found)
				}
			})
		}
	}
}

func user(value string) identity.ID    { return identity.ID{Type: identity.UserID, Value: value} }
func visitor(value string) identity.ID { return identity.ID{Type: identity.AnonymousID, Value: value} }

// meddled does something else in the middle of a slot: when it has read the event log, and
// has locked no profile yet.
type meddled struct {
	engine.Repository
	meddle func()
}

func (m meddled) Transact(ctx context.Context, f func(engine.Tx) error) error {
	return m.Repository.Transact(ctx, func(tx engine.Tx) error { return f(meddledTx{tx, m.meddle}) })
}

type meddledTx struct {
	engine.Tx
	meddle func()
}

func (m meddledTx) Due(ctx context.Context, versions []*engine.Version, by time.Time, yield func(profileID, computationID int64)) error {
	if err := m.Tx.Due(ctx, versions, by, yield); err != nil {
		return err
	}
	m.meddle()
	return nil
}
