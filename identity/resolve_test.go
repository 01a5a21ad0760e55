package identity_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/identity"
)

// limits is settings with some limits.
func limits(l map[string]identity.Limit) identity.Settings { return identity.Settings{Limits: l} }

func TestResolve(t *testing.T) {
	type step struct {
		after time.Duration
		call  string
		want  string // the profile, "+" if created, what was merged, and what was dropped by which rule
	}
	tests := []struct {
		name     string
		settings identity.Settings
		steps    []step
		want     string
	}{{
		name: "a visitor becomes known",
		steps: []step{
			{0, "anon:an2", "1+"},
			{day, "anon:an2 user:flo", "1"},
			{2 * day, "user:flo email:Flo@X.test ", "1"},
			{3 * day, "email:flo@x.test", "1"},
		},
		want: "1: anonymous_id:an2 user_id:flo email:flo@x.test",
	}, {
		name: "a user logs in on a device that was somebody unknown",
		steps: []step{
			{0, "user:hana", "1+"},
			{0, "anon:an4", "2+"},
			{day, "anon:an4 user:hana", "1 merged 2"},
			{day, "anon:an4", "1"},
		},
		want: "1: anonymous_id:an4 user_id:hana",
	}, {
		name: "the older profile survives, although the younger one is the user",
		steps: []step{
			{0, "anon:an5", "1+"},
			{day, "user:ivo", "2+"},
			{2 * day, "anon:an5 user:ivo", "1 merged 2"},
		},
		want: "1: anonymous_id:an5 user_id:ivo",
	}, {
		name: "another user's email is left to that user",
		steps: []step{
			{0, "user:m-1 email:r@example.net", "1+"},
			{day, "user:m-2 email:r@example.net", "2+ dropped email:r@example.net value_limit"},
		},
		want: "1: email:r@example.net user_id:m-1\n2: user_id:m-2",
	}, {
		name: "a shared device stays with its first user",
		steps: []step{
			{0, "anon:a1 user:u1", "1+"},
			{day, "anon:a1 user:u2", "2+ dropped anonymous_id:a1 value_limit"},
			{2 * day, "anon:a1", "1"},
			{3 * day, "user:u2", "2"},
		},
		want: "1: anonymous_id:a1 user_id:u1\n2: user_id:u2",
	}, {
		name: "three profiles become one",
		steps: []step{
			{0, "email:k@x.test", "1+"},
			{0, "anon:a1", "2+"},
			{0, "user:kim", "3+"},
			{day, "user:kim email:k@x.test anon:a1 loyalty:77", "1 merged 3,2"},
		},
		want: "1: anonymous_id:a1 email:k@x.test user_id:kim loyalty:77",
	}, {
		name: "merges follow each other",
		steps: []step{
			{0, "anon:a", "1+"},
			{0, "anon:b", "2+"},
			{0, "anon:c", "3+"},
			{0, "anon:b email:e@x.test", "2"},
			{day, "anon:c email:e@x.test", "2 merged 3"},
			{day, "anon:a email:e@x.test", "1 merged 2"},
			{day, "anon:c", "1"},
		},
		want: "1: anonymous_id:a anonymous_id:b anonymous_id:c email:e@x.test",
	}, {
		name: "the least important id goes first, even if another type is over its limit",
		steps: []step{
			{0, "user:u1 email:e@x.test", "1+"},
			{day, "user:u2 email:e@x.test anon:new", "2+ dropped anonymous_id:new value_limit, email:e@x.test value_limit"},
			{day, "anon:new", "3+"},
		},
		want: "1: email:e@x.test user_id:u1\n2: user_id:u2\n3: anonymous_id:new",
	}, {
		name:     "priorities can be set",
		settings: identity.Settings{Priority: []string{"email"}},
		steps: []step{
			{0, "user:u1 email:e@x.test", "1+"},
			{day, "user:u2 email:e@x.test", "1 dropped user_id:u2 value_limit"},
		},
		want: "1: email:e@x.test user_id:u1",
	}, {
		name:     "types without a priority are ordered by name",
		settings: limits(map[string]identity.Limit{"zeta": {Max: 1}}),
		steps: []step{
			{0, "alpha:1 zeta:1", "1+"},
			{day, "alpha:1 zeta:2", "1 dropped zeta:2 value_limit"},
			{day, "omega:1 zeta:1", "1"},
			{day, "omega:2 zeta:3", "2+"},
			{2 * day, "alpha:1 omega:2", "1 dropped omega:2 value_limit"},
		},
		want: "1: alpha:1 zeta:1 omega:1\n2: omega:2 zeta:3",
	}, {
		name: "the sixth email is one too many",
		steps: []step{
			{0, "user:u email:1@x", "1+"},
			{0, "user:u email:2@x", "1"},
			{0, "user:u email:3@x", "1"},
			{0, "user:u email:4@x", "1"},
			{0, "user:u email:5@x", "1"},
			{0, "user:u email:6@x", "1 dropped email:6@x value_limit"},
			{0, "user:u email:5@x", "1"},
			{0, "email:6@x", "2+"},
		},
		want: "1: email:1@x user_id:u email:2@x email:3@x email:4@x email:5@x\n2: email:6@x",
	}, {
		name:     "of two values of a type the one that is seen last goes",
		settings: limits(map[string]identity.Limit{"email": {Max: 1}}),
		steps:    []step{{0, "email:first@x email:second@x", "1+ dropped email:second@x value_limit"}},
		want:     "1: email:first@x",
	}, {
		name:     "a weekly limit counts the values of seven days",
		settings: limits(map[string]identity.Limit{"anonymous_id": {Max: 2, Period: identity.Weekly}}),
		steps: []step{
			{0, "user:u anon:a1", "1+"},
			{day, "user:u anon:a2", "1"},
			{7*day - 1*time.Microsecond, "user:u anon:a3", "1 dropped anonymous_id:a3 time_limit"},
			{7 * day, "user:u anon:a3", "1"},
			{7 * day, "user:u anon:a4", "1 dropped anonymous_id:a4 time_limit"},
			{8 * day, "user:u anon:a4", "1"},
			{8 * day, "user:u anon:a1", "1"},
		},
		want: "1: anonymous_id:a1 user_id:u anonymous_id:a2 anonymous_id:a3 anonymous_id:a4",
	}, {
		name: "a month is 30 days, a year 365",
		settings: limits(map[string]identity.Limit{
			"anonymous_id": {Max: 1, Period: identity.Monthly}, "email": {Max: 1, Period: identity.Annually},
		}),
		steps: []step{
			{0, "user:u anon:a1 email:1@x", "1+"},
			{29 * day, "user:u anon:a2", "1 dropped anonymous_id:a2 time_limit"},
			{30 * day, "user:u anon:a2", "1"},
			{364 * day, "user:u email:2@x", "1 dropped email:2@x time_limit"},
			{365 * day, "user:u email:2@x", "1"},
		},
		want: "1: anonymous_id:a1 email:1@x user_id:u anonymous_id:a2 email:2@x",
	}, {
		name:     "two weeks of visitors may be merged, two visitors of one week may not",
		settings: limits(map[string]identity.Limit{"anonymous_id": {Max: 1, Period: identity.Weekly}}),
		steps: []step{
			{0, "anon:a1 user:u", "1+"},
			{3 * day, "anon:a2 email:e@x", "2+"},
			{4 * day, "user:u email:e@x", "1 dropped email:e@x time_limit"},
			{7 * day, "user:u email:e@x", "1 merged 2"},
		},
		want: "1: anonymous_id:a1 user_id:u anonymous_id:a2 email:e@x",
	}, {
		name: "two users are never merged",
		steps: []step{
			{0, "user:u1 email:1@x", "1+"},
			{0, "user:u2 email:2@x", "2+"},
			{0, "email:1@x email:2@x", "1 dropped email:2@x value_limit"},
		},
		want: "1: email:1@x user_id:u1\n2: email:2@x user_id:u2",
	}, {
		name: "alias joins a visitor to a user",
		steps: []step{
			{0, "anon:dev10", "1+"},
			{0, "user:wes", "2+"},
			{day, "previous:dev10 user:wes", "1 merged 2"},
		},
		want: "1: anonymous_id:dev10 user_id:wes",
	}, {
		name: "alias of an unknown id makes it the user's anonymous id",
		steps: []step{
			{0, "user:wes", "1+"},
			{day, "previous:dev11 user:wes", "1"},
			{day, "anon:dev11", "1"},
		},
		want: "1: user_id:wes anonymous_id:dev11",
	}, {
		name: "alias of unknown ids",
		steps: []step{
			{0, "previous:dev12 user:new", "1+"},
		},
		want: "1: anonymous_id:dev12 user_id:new",
	}, {
		name: "alias does not join two users",
		steps: []step{
			{0, "user:old", "1+"},
			{0, "user:new", "2+"},
			{0, "previous:old user:new", "2 dropped user_id:old value_limit"},
			{0, "previous:old user:newer", "3+ dropped user_id:old value_limit"},
		},
		want: "1: user_id:old\n2: user_id:new\n3: user_id:newer",
	}, {
		name:     "alias joins two users where two are allowed",
		settings: limits(map[string]identity.Limit{"user_id": {Max: 2}}),
		steps: []step{
			{0, "user:old", "1+"},
			{0, "user:new", "2+"},
			{0, "previous:old user:new", "1 merged 2"},
		},
		want: "1: user_id:new user_id:old",
	}, {
		name: "alias prefers the user of that name to the visitor",
		steps: []step{
			{0, "anon:x", "1+"},
			{0, "user:x", "2+"},
			{0, "previous:x anon:y", "2"},
		},
		want: "1: anonymous_id:x\n2: anonymous_id:y user_id:x",
	}, {
		name: "alias of itself, and of nothing",
		steps: []step{
			{0, "previous:kim user:kim", "1+"},
			{0, "previous:null user:kim", "1 dropped user_id:null blocked_value, anonymous_id:null blocked_value"},
			{0, "previous:a1", "2+"},
		},
		want: "1: user_id:kim\n2: anonymous_id:a1",
	}, {
		name: "a call that names nobody",
		steps: []step{
			{0, "", "unresolved"},
			{
				0, "user:null anon:00000000-0000-0000-0000-000000000000",
				"unresolved dropped user_id:null blocked_value, anonymous_id:00000000-0000-0000-0000-000000000000 blocked_value",
			},
		},
	}, {
		name:     "no more merges than allowed",
		settings: identity.Settings{MaxMerges: 2, Limits: map[string]identity.Limit{"*": {Max: 100}}},
		steps: []step{
			{0, "anon:a", "1+"},
			{0, "anon:b", "2+"},
			{0, "anon:c", "3+"},
			{0, "anon:d", "4+"},
			{0, "anon:a anonymous_id:b", "1 merged 2"},
			{0, "anon:a anonymous_id:c", "1 merged 3"},
			{0, "anon:d anonymous_id:a", "4 dropped anonymous_id:a merge_limit"},
			{0, "anon:d anonymous_id:a user:u", "4 dropped anonymous_id:a merge_limit"},
			{0, "user:u", "4"},
		},
		want: "1: anonymous_id:a anonymous_id:b anonymous_id:c\n4: anonymous_id:d user_id:u",
	}, {
		name:     "a merge of more than the rest is none at all",
		settings: identity.Settings{MaxMerges: 1, Limits: map[string]identity.Limit{"*": {Max: 100}}},
		steps: []step{
			{0, "anon:a", "1+"},
			{0, "email:e@x", "2+"},
			{0, "user:u", "3+"},
			{0, "anon:a user:u email:e@x", "3 dropped email:e@x merge_limit, anonymous_id:a merge_limit"},
			{0, "anon:a user:u", "1 merged 3"},
		},
		want: "1: anonymous_id:a user_id:u\n2: email:e@x",
	}, {
		name:     "no more ids than allowed",
		settings: identity.Settings{MaxIDs: 2},
		steps: []step{
			{0, "user:u anon:a email:e@x", "1+ dropped anonymous_id:a mapping_limit"},
			{0, "user:u anon:b", "1 dropped anonymous_id:b mapping_limit"},
			{0, "anon:b", "2+"},
			{0, "user:u anon:b", "1 merged 2"},
		},
		want: "1: anonymous_id:b email:e@x user_id:u",
	}}
	for _, test := range tests {
		// As batches of one call, and as one batch: the store must not be able to tell.
		for _, whole := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/whole=%t", test.name, whole), func(t *testing.T) {
				w := newWorld(t, test.settings)
				var arrivals []arrival
				for _, step := range test.steps {
					a := arrival{newCall(step.call), t0.Add(step.after)}
					if whole {
						arrivals = append(arrivals, a)
						continue
					}
					if diff := cmp.Diff(step.want, outcome(w.batch(a)[0])); diff != "" {
						t.Errorf("%q (-want +got):\n%s", step.call, diff)
					}
				}
				if whole {
					w.batch(arrivals...)
				}
				if diff := cmp.Diff(test.want, w.String()); diff != "" {
					t.Errorf("profiles (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// outcome words a resolution as the tests above do.
func outcome(r identity.Resolution) string {
	text := fmt.Sprint(r.Profile)
	if r.Unresolved {
		text = "unresolved"
	}
	if r.Created {
		text += "+"
	}
	if len(r.Merged) > 0 {
		text += " merged " + strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Merged), " ", ","), "[]")
	}
	var dropped []string
	for _, v := range r.Dropped {
		dropped = append(dropped, v.ID.String()+" "+string(v.Rule))
	}
	if dropped != nil {
		text += " dropped " + strings.Join(dropped, ", ")
	}
	return text
}

func TestStricterLimitsLeaveOldProfilesAlone(t *testing.T) {
	w := newWorld(t, identity.Settings{})
	w.batch(arrival{newCall("user:u email:1@x email:2@x email:3@x"), t0})
	var err error
	w.rules, err = limits(map[string]identity.Limit{"email": {Max: 1}}).Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ call, want string }{
		{"email:3@x anon:a", "1"},
		{"anon:b", "2+"},
		{"user:u anon:b", "1 merged 2"}, // the merge adds no email
		{"user:u email:4@x", "1 dropped email:4@x value_limit"},
		{"email:5@x", "3+"},
		{"user:u email:5@x", "1 dropped email:5@x value_limit"},
	} {
		if got := outcome(w.batch(arrival{newCall(step.call), t0})[0]); got != step.want {
			t.Errorf("%q: got %q, want %q", step.call, got, step.want)
		}
	}
}

func TestReasonsNameTheLimit(t *testing.T) {
	w := newWorld(t, limits(map[string]identity.Limit{"anonymous_id": {Max: 1, Period: identity.Monthly}}))
	w.batch(arrival{newCall("user:u1 anon:a1"), t0})
	dropped := w.batch(arrival{newCall("user:u1 anon:a2"), t0}, arrival{newCall("user:u2 email:null anon:a1"), t0})
	got := []string{dropped[0].Dropped[0].Reason, dropped[1].Dropped[0].Reason, dropped[1].Dropped[1].Reason}
	want := []string{
		"the profile would hold 2 values of anonymous_id; the limit is 1 monthly",
		`blocked by ` + identity.DefaultSettings().Blocked["*"][2] + ` for *`,
		"the profile would hold 2 values of user_id; the limit is 1 ever",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestIDsOfOneInstantKeepTheirOrder(t *testing.T) {
	w := newWorld(t, identity.Settings{})
	// An import: all at once, and the clock is set back in the middle of it.
	w.batch(
		arrival{newCall("user:u email:z@x"), t0},
		arrival{newCall("user:u email:y@x"), t0},
		arrival{newCall("user:u email:a@x"), t0.Add(-time.Hour)},
	)
	w.batch(arrival{newCall("user:u email:b@x"), t0})
	if got, want := w.String(), "1: email:z@x user_id:u email:y@x email:a@x email:b@x"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAddRefusesWhatTheStoreMustNotHold(t *testing.T) {
	rules, err := identity.Settings{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	link := identity.Link{ID: identity.ID{Type: "user_id", Value: "kim"}, AddedAt: t0}
	g := identity.NewGraph(rules)
	if err := g.Add(identity.Profile{ID: 1, Links: []identity.Link{link}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []identity.Profile{{}, {ID: 1}, {ID: 2, Links: []identity.Link{{ID: identity.ID{Type: "email", Value: "k"}}, link}}} {
		if err := g.Add(p); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	if _, owned := g.Owner(identity.ID{Type: "email", Value: "k"}); owned {
		t.Error("a refused profile left an id behind")
	}
}

func TestOrdinaryCallsAllocateNothing(t *testing.T) {
	rules, err := identity.Settings{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	g := identity.NewGraph(rules)
	e := rules.Extract(newCall("user:kim anon:a1 email:k@x.test"))
	newID := func() identity.ProfileID { return 1 }
	g.Resolve(e, t0, newID)
	if n := testing.AllocsPerRun(100, func() { g.Resolve(e, t0, newID) }); n > 0 {
		t.Errorf("resolving a known profile allocates %v times", n)
	}
}
