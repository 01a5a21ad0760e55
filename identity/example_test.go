package identity_test

import (
	"fmt"
	"time"

	"muster/event"
	"muster/identity"
)

// A visitor logs in, and is found to be a customer of old. The graph starts empty here; a
// store first adds the profiles that own the ids of [identity.Evidence.Lookup].
func Example() {
	rules, err := identity.DefaultSettings().Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	g := identity.NewGraph(rules)
	var last identity.ProfileID
	for _, call := range []event.Call{
		{Type: event.Identify, UserID: "kim", Traits: []byte(`{"email":"Kim@example.net"}`)},
		{Type: event.Page, AnonymousID: "a1"},
		{Type: event.Identify, UserID: "kim", AnonymousID: "a1"},
	} {
		r := g.Resolve(rules.Extract(&call), time.Date(2026, 2, 2, 9, 0, 0, 0, time.UTC), func() identity.ProfileID {
			last++
			return last
		})
		fmt.Println(r.Profile, r.Created, r.Merged)
	}
	profile, _ := g.Profile(1)
	fmt.Println(identity.FanOut(profile.Links, true, identity.All).Combinations)
	// Output:
	// 1 true []
	// 2 true []
	// 1 false [2]
	// [user:kim|email:kim@example.net anon:a1]
}
