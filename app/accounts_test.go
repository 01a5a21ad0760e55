package app_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"muster/internal/pgtest"
	"muster/store"
)

// accounts are all accounts as people see them: traits, and members by the user ids of their profiles.
func (c *counter) accounts() []string {
	c.t.Helper()
	rows, err := c.Pool().Query(c.t.Context(), `
		SELECT a.group_id, a.traits::text, a.members,
			coalesce((SELECT array_agg(p.user_ids[1] ORDER BY p.user_ids[1]) FROM inspect.account_members m JOIN inspect.profiles p USING (profile_id)
				WHERE m.group_id = a.group_id), '{}')
		FROM inspect.accounts a ORDER BY a.group_id`)
	if err != nil {
		c.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var group, traits string
		var n int
		var members []*string
		err := row.Scan(&group, &traits, &n, &members)
		text := fmt.Sprintf("%s %s %d:", group, traits, n)
		for _, m := range members {
			if m == nil {
				text += " ?"
			} else {
				text += " " + *m
			}
		}
		return text, err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return list
}

// A group call makes the account, sets its traits where it is the latest to say so, and
// links the person, who may belong to several accounts.
func TestAccounts(t *testing.T) {
	c := openCounter(t, store.New(pgtest.New(t)), "web")
	expect := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, c.accounts()); diff != "" {
			t.Errorf("accounts (-want +got):\n%s", diff)
		}
	}
	c.must("group", `{"messageId":"g1","userId":"kim","groupId":"acme","timestamp":"2026-01-02T00:00:00Z","traits":{"plan":"pro","seats":5,"tags":["a",{"b":1}]}}`)
	expect(`acme {"plan": "pro", "tags": ["a", {"b": 1}], "seats": 5} 1: kim`)
	// An older call comes late: what it knows better is only what nobody has said since.
	c.must("group", `{"messageId":"g2","userId":"lee","groupId":"acme","timestamp":"2026-01-01T00:00:00Z","traits":{"plan":"free","city":"Porto"}}`)
	expect(`acme {"city": "Porto", "plan": "pro", "tags": ["a", {"b": 1}], "seats": 5} 2: kim lee`)
	// In one request, the later timestamp wins whatever the order; null removes, also against older calls that come later.
	c.must("batch", `{"batch":[
		{"type":"group","messageId":"g3","userId":"kim","groupId":"acme","timestamp":"2026-01-04T00:00:00Z","traits":{"plan":"max","tags":null}},
		{"type":"group","messageId":"g4","userId":"kim","groupId":"acme","timestamp":"2026-01-03T00:00:00Z","traits":{"plan":"mid","tags":["late"],"city":null}},
		{"type":"group","messageId":"g5","anonymousId":"a-1","groupId":"17","traits":{}},
		{"type":"group","messageId":"g6","anonymousId":"a-1","groupId":17}]}`)
	expect(`17 {} 1: ?`, `acme {"plan": "max", "seats": 5} 2: kim lee`)
	// Who is merged belongs to the accounts of both, once to each.
	c.must("batch", `{"batch":[
		{"type":"group","messageId":"g7","anonymousId":"a-1","groupId":"acme"},
		{"type":"identify","messageId":"g8","anonymousId":"a-1","userId":"lee"}]}`)
	expect(`17 {} 1: lee`, `acme {"plan": "max", "seats": 5} 2: kim lee`)
	// The traits are the account's, and the same call a second time is nothing.
	c.must("group", `{"messageId":"g2","userId":"mia","groupId":"acme","traits":{"plan":"again"}}`)
	expect(`17 {} 1: lee`, `acme {"plan": "max", "seats": 5} 2: kim lee`)
	if n := c.count(`SELECT count(*) FROM traits`) + c.count(`SELECT count(*) FROM external_ids WHERE id_type = 'group_id'`); n != 0 {
		t.Errorf("%d of an account's traits and ids are a person's", n)
	}
}
