package crash

import "testing"

func TestCallsOfOnePerson(t *testing.T) {
	calls := []*call{
		{id: "1", user: "a"},
		{id: "2", anonymous: "x"},
		{id: "3", user: "b"},
		{id: "4", user: "a", anonymous: "y"},
		{id: "5", user: "c"},
		{id: "6", user: "b", anonymous: "x"},
		{id: "7", anonymous: "y"},
		{id: "8", user: "c", anonymous: "x"},
	}
	found := make(map[string]int)
	people := byPerson(calls)
	for i, p := range people {
		for _, one := range p {
			found[one.id] = i
		}
	}
	if len(people) != 2 || len(found) != len(calls) {
		t.Fatalf("%d people have %d of %d calls", len(people), len(found), len(calls))
	}
	for _, one := range calls {
		if mine := found[one.id] == found["1"]; mine != (one.user == "a" || one.anonymous == "y") {
			t.Errorf("call %s is with the wrong person", one.id)
		}
	}
}
