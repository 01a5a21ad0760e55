package sdk_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// callsMade is how many messages the command calls makes.
const callsMade = 7

// testCalls makes each of the six calls and looks for what has become of them.
func testCalls(t *testing.T, s *system, d driver) {
	ctx, cancel := context.WithTimeout(t.Context(), stepPatience)
	defer cancel()
	c := command{Command: "calls", User: "ada", Anonymous: "ada-visits", Previous: "ada-visited", Group: "analysts"}
	if err := d.do(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := d.do(ctx, command{Command: "flush"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { // browsers that send batches take their time
		if n := s.gate.messages(); n < callsMade {
			return fmt.Sprintf("%d of %d messages were sent", n, callsMade)
		}
		return ""
	})
	quiet(t, s)

	type pair struct {
		Key string
		N   int64
	}
	text := func(sql string, args ...any) string {
		var all []string
		for _, p := range query[pair](t, s, sql, args...) {
			all = append(all, fmt.Sprintf("%s: %d", p.Key, p.N))
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	const ofAda = ` WHERE profile_id = (SELECT profile_id FROM muster.external_ids WHERE id_type = 'user_id' AND id_value = 'ada')`
	for _, want := range []struct{ what, sql, is string }{
		{
			"events", `SELECT name, count(DISTINCT message_id) FROM inspect.events` + ofAda + ` GROUP BY name HAVING count(*) = count(DISTINCT message_id)`,
			"Order Completed: 1, Page Viewed: 1, Screen Viewed: 1, Visited Before: 1",
		},
		{"pages and screens", `SELECT COALESCE(properties->>'name', properties->>'page_name', properties->>'screen_name'), count(*)
			FROM inspect.events` + ofAda + ` AND name LIKE '% Viewed' GROUP BY 1`, "Home: 1, Start: 1"},
		{"revenue", `SELECT properties->>'revenue', count(*) FROM inspect.events` + ofAda + ` AND name = 'Order Completed' GROUP BY 1`, "12.5: 1"},
		{
			"ids", `SELECT id_type || ' ' || id_value, 1::bigint FROM muster.external_ids` + ofAda,
			"anonymous_id ada-visited: 1, anonymous_id ada-visits: 1, user_id ada: 1",
		},
		{"traits", `SELECT key || ' ' || value::text, 1::bigint FROM muster.traits` + ofAda, `plan "pro": 1, seats 3: 1`},
		{"account", `SELECT group_id || ' ' || key, value::text::bigint FROM muster.account_traits`, "analysts employees: 7"},
		{"account's members", `SELECT group_id, count(*) FROM muster.account_members` + ofAda + ` GROUP BY group_id`, "analysts: 1"},
		{"all events", `SELECT 'all', count(*) FROM muster.events`, "all: 4"},
	} {
		if got := text(want.sql); got != want.is {
			t.Errorf("%s: %s; want %s", want.what, got, want.is)
		}
	}
	eventually(t, func() string {
		if s.property("ada", "buyers") != true {
			return "Mixpanel was not told that ada is a buyer"
		}
		return ""
	})
}

// quiet waits until the library has sent all it has and has been answered 200 for it.
func quiet(t *testing.T, s *system) {
	t.Helper()
	eventually(t, func() string {
		if messages, requests := s.gate.pending(); messages+requests > 0 {
			return fmt.Sprintf("%d messages are not delivered, %d requests are open", messages, requests)
		}
		return ""
	})
}
