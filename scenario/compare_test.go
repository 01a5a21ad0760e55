package scenario

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// message is a delivery of a definition's value to a user.
func message(key, to string, v query.Value) Delivery {
	return Delivery{Sent: Sent{Key: key, IDs: identity.Combination{UserID: to}, Value: v, Reason: engine.ReasonChanged}}
}

func TestEmittedIsAMultiset(t *testing.T) {
	kinds := map[string]query.Purpose{"a": query.Audience, "t": query.Trait}
	rapid.Check(t, func(t *rapid.T) {
		var want []Emission
		var sent []Delivery
		for range rapid.IntRange(0, 8).Draw(t, "messages") {
			id := rapid.SampledFrom([]string{"u", "v"}).Draw(t, "to")
			v := query.Bool(rapid.Bool().Draw(t, "value"))
			want = append(want, Emission{"a", identity.ID{Type: identity.UserID, Value: id}, v})
			sent = append(sent, message("a", id, v))
		}
		shuffle := func() {
			rand.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		}
		shuffle()
		if found := compareEmitted(want, sent, kinds); len(found) > 0 {
			t.Fatalf("the same messages in another order differ: %v", found)
		}
		more := append(slices.Clip(sent), message("a", "u", query.Bool(true)))
		if len(compareEmitted(want, more, kinds)) != 1 {
			t.Fatal("one message too many is not noticed")
		}
		if len(sent) > 0 && len(compareEmitted(want, sent[1:], kinds)) != 1 {
			t.Fatal("one message too few is not noticed")
		}
	})
}

func TestOfATraitTheLastValueCounts(t *testing.T) {
	kinds := map[string]query.Purpose{"a": query.Audience, "t": query.Trait}
	u := identity.ID{Type: identity.UserID, Value: "u"}
	sent := []Delivery{message("t", "u", query.Int(1)), message("t", "u", query.Int(2))}
	for _, c := range []struct {
		want  []Emission
		found int
	}{
		{[]Emission{{"t", u, query.Int(2)}}, 0},
		{[]Emission{{"t", u, query.Int(1)}, {"t", u, query.Int(2)}}, 0},
		{[]Emission{{"t", u, query.Int(1)}}, 1},
		{[]Emission{}, 1},
		{[]Emission{{"t", u, query.Int(2)}, {"a", u, query.Bool(true)}}, 1},
	} {
		if found := compareEmitted(c.want, sent, kinds); len(found) != c.found {
			t.Errorf("%v: %v", c.want, found)
		}
	}
	both := []Delivery{message("a", "u", query.Bool(true)), message("a", "u", query.Bool(false))}
	if found := compareEmitted([]Emission{{"a", u, query.Bool(false)}}, both, kinds); len(found) != 1 {
		t.Errorf("of an audience every message counts, but there is no difference: %v", found)
	}
}

func TestCoveredLooksAtOneDefinitionAndOneValue(t *testing.T) {
	sent := []Delivery{
		{Sent: Sent{Key: "a", IDs: identity.Combination{UserID: "u", Email: "e1@x.test"}, Value: query.Bool(true)}},
		{Sent: Sent{Key: "a", IDs: identity.Combination{UserID: "u", Email: "e2@x.test"}, Value: query.Bool(true)}},
		{Sent: Sent{Key: "a", IDs: identity.Combination{AnonymousID: "v"}, Value: query.Bool(false)}},
		{Sent: Sent{Key: "b", IDs: identity.Combination{UserID: "w"}, Value: query.Bool(true)}},
	}
	user := identity.ID{Type: identity.UserID, Value: "u"}
	e1, e2 := identity.ID{Type: identity.Email, Value: "e1@x.test"}, identity.ID{Type: identity.Email, Value: "e2@x.test"}
	for _, c := range []struct {
		ids   []identity.ID
		found int
	}{
		{[]identity.ID{user, e1, e2}, 0},
		{[]identity.ID{user, e1}, 1},
		{[]identity.ID{user, e1, e2, {Type: identity.AnonymousID, Value: "v"}}, 1},
		{nil, 3},
	} {
		if found := compareCovered(map[string]Cover{"a": {Value: query.Bool(true), IDs: c.ids}}, sent); len(found) != c.found {
			t.Errorf("%v: %v", c.ids, found)
		}
	}
}

func TestSumsAreComparedToTheCent(t *testing.T) {
	holders := []Holder{{Value: query.Number(decimal.RequireFromString("0.114"))}, {Value: query.Text("0.02")}}
	for want, same := range map[string]bool{"0.13": true, "0.134": true, "0.14": false, "0.12": false} {
		e := Expectation{TraitSum: map[string]decimal.Decimal{"t": decimal.RequireFromString(want)}}
		if got := len(e.compareNumbers("t", holders)) == 0; got != same {
			t.Errorf("%s: %v", want, got)
		}
	}
}

func TestOneProfileIsNotTwo(t *testing.T) {
	mel, noa := identity.ID{Type: identity.UserID, Value: "mel"}, identity.ID{Type: identity.UserID, Value: "noa"}
	fused := []Holder{{IDs: []identity.ID{mel, noa}, Value: query.Bool(true)}}
	if found := compareMembers("paid", []identity.ID{mel, noa}, fused, memory{}); len(found) != 1 {
		t.Errorf("two members that are one profile: %v", found)
	}
	if found := compareMembers("paid", []identity.ID{noa}, fused, memory{}); len(found) != 0 {
		t.Errorf("a profile has any of its ids as a name: %v", found)
	}
	if found := compareMembers("paid", nil, fused, memory{}); len(found) != 1 {
		t.Errorf("a member that nobody named: %v", found)
	}
}
