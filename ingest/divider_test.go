package ingest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"muster/event"
)

// said is a call with ids.
func said(user, anonymous, previous string) *event.Call {
	return &event.Call{UserID: user, AnonymousID: anonymous, PreviousID: previous}
}

func TestDividerKeepsPeopleTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		d := NewDivider(1 + r.IntN(5))
		var calls []*event.Call
		for range r.IntN(60) {
			call := said(fmt.Sprint("u", r.IntN(12)), fmt.Sprint("a", r.IntN(20)), "")
			switch r.IntN(4) {
			case 0:
				call.UserID = ""
			case 1:
				call.AnonymousID = ""
			case 2:
				call.PreviousID = fmt.Sprint("u", r.IntN(12))
			}
			calls = append(calls, call)
		}
		seen := make([]int, len(calls))
		lanes := make(map[string]int)
		for lane, places := range d.Divide(calls) {
			if !slices.IsSorted(places) {
				t.Fatalf("lane %d has lost the order: %v", lane, places)
			}
			for _, i := range places {
				seen[i]++
				for _, id := range []string{calls[i].UserID, calls[i].AnonymousID, calls[i].PreviousID} {
					if other, ok := lanes[id]; id != "" && ok && other != lane {
						t.Fatalf("%s is in the lanes %d and %d", id, other, lane)
					}
					lanes[id] = lane
				}
			}
		}
		if slices.ContainsFunc(seen, func(n int) bool { return n != 1 }) {
			t.Fatalf("calls are dealt out %v times", seen)
		}
	}
}

func TestDividerRemembersWhoAVisitorIs(t *testing.T) {
	d := NewDivider(64)
	lane := func(call *event.Call) int {
		return slices.IndexFunc(d.Divide([]*event.Call{call}), func(places []int) bool { return len(places) > 0 })
	}
	astray := 0
	for i := range 200 {
		user, visitor := fmt.Sprint("u", i), fmt.Sprint("a", i)
		home := lane(said(user, "", ""))
		if lane(said(user, visitor, "")) != home {
			t.Fatalf("%s goes to another lane with a visitor's id", user)
		}
		if lane(said("", visitor, "")) != home {
			astray++
		}
	}
	if astray > 0 {
		t.Errorf("%d of 200 visitors are not kept with their user", astray)
	}
}

func TestDividerForgetsInBoundedMemory(t *testing.T) {
	d := NewDivider(2)
	for i := range 5 * remembered {
		d.Divide([]*event.Call{said(fmt.Sprint("u", i), fmt.Sprint("a", i), "")})
	}
	if n := len(d.young) + len(d.old); n > 2*remembered {
		t.Errorf("it remembers %d visitors", n)
	}
}

func TestRequestsAreDividedByPerson(t *testing.T) {
	c := NewCollector(&memory{}, CollectorConfig{Lanes: 4})
	lanes := make(map[string]int)
	var everybody []Item
	for i := range 100 {
		user := fmt.Sprint("u", i)
		everybody = append(everybody, Item{Call: said(user, "", "")}, Item{Call: said(user, fmt.Sprint("a", i), "")})
		parts := c.divide(everybody[2*i:], 100)
		if len(parts) != 1 {
			t.Fatalf("one person's request has %d parts", len(parts))
		}
		for lane, p := range parts {
			lanes[user] = lane
			if p.places != nil || len(p.items) != 2 || p.bytes != 100 {
				t.Errorf("a whole request became %+v", p)
			}
		}
	}
	parts := c.divide(everybody, 40_000)
	if len(parts) != 4 {
		t.Errorf("a hundred people's request has %d parts", len(parts))
	}
	seen := 0
	for lane, p := range parts {
		before := -1
		for i, place := range p.places {
			if p.items[i].Call != everybody[place].Call || place <= before {
				t.Fatalf("lane %d has the call of place %d out of its place", lane, place)
			}
			if user := p.items[i].Call.UserID; lanes[user] != lane {
				t.Errorf("%s goes to lane %d, then to %d", user, lanes[user], lane)
			}
			before = place
			seen++
		}
		if p.bytes != 200*len(p.items) {
			t.Errorf("%d of 200 calls count for %d of 40,000 bytes", len(p.items), p.bytes)
		}
	}
	if seen != len(everybody) {
		t.Errorf("%d of %d calls are in a part", seen, len(everybody))
	}
}
