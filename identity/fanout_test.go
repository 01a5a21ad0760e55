package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster/identity"
)

// links makes links of words such as "user:u email:e@x anon:a idfa:x", each a day older
// than the next.
func links(words string) []identity.Link {
	types := map[string]string{"user": "user_id", "anon": "anonymous_id", "idfa": "ios.idfa"}
	var l []identity.Link
	for i, word := range strings.Fields(words) {
		typ, value, _ := strings.Cut(word, ":")
		if known, ok := types[typ]; ok {
			typ = known
		}
		l = append(l, identity.Link{ID: identity.ID{Type: typ, Value: value}, AddedAt: t0.Add(time.Duration(i) * day)})
	}
	return l
}

func TestEligible(t *testing.T) {
	for _, test := range []struct {
		ids             string
		known, visitors bool // eligible without, and with, anonymous users
	}{
		{"user:u", true, true},
		{"email:e", true, true},
		{"idfa:i", true, true},
		{"android.idfa:i", true, true},
		{"anon:a", false, true},
		{"crm:1 anon:a email:e", true, true},
		{"crm:1 ios.id:d ga_client_id:3", false, false},
		{"", false, false},
	} {
		known, visitors := identity.Eligible(links(test.ids), false), identity.Eligible(links(test.ids), true)
		if known != test.known || visitors != test.visitors {
			t.Errorf("%q: eligible %t, with anonymous users %t", test.ids, known, visitors)
		}
	}
}

func TestFanOut(t *testing.T) {
	for _, test := range []struct {
		ids      string
		visitors bool
		strategy identity.Strategy
		want     string
	}{
		{"user:u", false, "", "user:u"},
		{"user:u anon:a", false, "", "user:u"},
		{"anon:a user:u anon:b", true, "", "user:u, anon:a, anon:b"},
		{"email:3@x email:1@x user:u email:2@x", false, "", "user:u|email:3@x, user:u|email:1@x, user:u|email:2@x"},
		{"user:u email:1@x user:v email:2@x", false, identity.All, "user:u|email:1@x, user:u|email:2@x, user:v|email:1@x, user:v|email:2@x"},
		{"user:u email:1@x user:v email:2@x anon:a anon:b", true, identity.Last, "user:v|email:2@x, anon:b"},
		{"user:u email:1@x user:v email:2@x anon:a anon:b", true, identity.First, "user:u|email:1@x, anon:a"},
		// An email without a user travels with the latest visitor, whatever the strategy.
		{"anon:a email:1@x anon:b email:2@x", false, "", "anon:b|email:1@x, anon:b|email:2@x"},
		{"anon:a email:1@x anon:b", true, "", "anon:b|email:1@x, anon:a, anon:b"},
		{"anon:a email:1@x anon:b email:2@x", true, identity.First, "anon:b|email:1@x, anon:a"},
		{"email:1@x", true, "", "undeliverable: the profile has an email, but neither a user_id nor an anonymous_id to carry it"},
		{"idfa:i anon:a", false, "", "undeliverable: the profile has no user_id or email, and the computation does not include anonymous users"},
		{"idfa:i", true, "", "undeliverable: the profile has no user_id, email or anonymous_id"},
	} {
		targets := identity.FanOut(links(test.ids), test.visitors, test.strategy)
		var keys []string
		for _, c := range targets.Combinations {
			keys = append(keys, c.Key())
		}
		got := strings.Join(keys, ", ")
		if targets.Undeliverable != "" {
			got += "undeliverable: " + targets.Undeliverable
		}
		if got != test.want || targets.Excess != 0 {
			t.Errorf("%q, anonymous %t, %q: got %q, want %q", test.ids, test.visitors, test.strategy, got, test.want)
		}
	}
}

func TestFanOutSortsByAge(t *testing.T) {
	l := links("email:1@x user:u email:2@x")
	slices.Reverse(l)
	reversed := slices.Clone(l)
	got := identity.FanOut(l, false, identity.All).Combinations
	want := []identity.Combination{{UserID: "u", Email: "1@x"}, {UserID: "u", Email: "2@x"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(l, reversed) {
		t.Error("the caller's links were reordered")
	}
}

func TestFanOutIsBounded(t *testing.T) {
	many := func(typ string, n int) string {
		var words []string
		for i := range n {
			words = append(words, fmt.Sprintf("%s:%d", typ, i))
		}
		return strings.Join(words, " ")
	}
	for _, test := range []struct {
		name, ids         string
		n, excess         int
		first, last, kept string
	}{
		{"as many as may be", many("email", 100) + " user:u", 100, 0, "user:u|email:0", "user:u|email:99", ""},
		{"the oldest emails are cut", many("email", 103) + " user:u", 100, 3, "user:u|email:3", "user:u|email:102", ""},
		{"the oldest anonymous ids are cut before any email", many("email", 60) + " user:u " + many("anon", 60), 100, 20, "user:u|email:0", "anon:59", "anon:20"},
		{"every user keeps an email", many("user", 120) + " email:a email:b", 100, 140, "user:20|email:b", "user:119|email:b", ""},
		{"room that emails leave goes to anonymous ids", many("user", 3) + " " + many("email", 50) + " anon:a anon:b", 100, 52, "user:0|email:17", "anon:b", "user:2|email:49"},
	} {
		targets := identity.FanOut(links(test.ids), true, identity.All)
		var keys []string
		for _, c := range targets.Combinations {
			keys = append(keys, c.Key())
		}
		if len(keys) != test.n || targets.Excess != test.excess || keys[0] != test.first || keys[len(keys)-1] != test.last ||
			test.kept != "" && !slices.Contains(keys, test.kept) {
			t.Errorf("%s: %d combinations from %s to %s, %d cut", test.name, len(keys), keys[0], keys[len(keys)-1], targets.Excess)
		}
	}
}

func TestFanOutTellsEachCombinationOnce(t *testing.T) {
	word := rapid.StringMatching(`(user|email|anon|idfa):[a-z]`)
	rapid.Check(t, func(rt *rapid.T) {
		words := rapid.SliceOfNDistinct(word, 0, 12, rapid.ID).Draw(rt, "ids")
		l := links(strings.Join(words, " "))
		visitors := rapid.Bool().Draw(rt, "anonymous")
		strategy := rapid.SampledFrom([]identity.Strategy{"", identity.First, identity.Last}).Draw(rt, "strategy")
		targets := identity.FanOut(l, visitors, strategy)
		if (len(targets.Combinations) == 0) != (targets.Undeliverable != "") {
			rt.Fatalf("%+v", targets)
		}
		seen := make(map[string]bool)
		for _, c := range targets.Combinations {
			if seen[c.Key()] {
				rt.Fatalf("%s comes twice", c)
			}
			seen[c.Key()] = true
			if (c.UserID == "") == (c.AnonymousID == "") {
				rt.Fatalf("%s has no single carrier", c)
			}
		}
	})
}

func TestCombinationKey(t *testing.T) {
	for _, test := range []struct {
		c   identity.Combination
		key string
	}{
		{identity.Combination{UserID: "kim"}, "user:kim"},
		{identity.Combination{UserID: "kim", Email: "kim@example.net"}, "user:kim|email:kim@example.net"},
		{identity.Combination{AnonymousID: "a:1", Email: "e"}, "anon:a:1|email:e"},
		{identity.Combination{UserID: `a|email:b\`}, `user:a\|email:b\\`},
		{identity.Combination{}, ""},
	} {
		if got := test.c.Key(); got != test.key {
			t.Errorf("%#v: key %q, want %q", test.c, got, test.key)
		}
	}
	for _, key := range []string{
		"kim", "user", "user:", "user:a|", "|user:a", "email:e|user:u", "user:a|user:b", "name:kim", `user:a\`, `user:a\b`, "user:a|anon:", "USER:a",
	} {
		if c, err := identity.ParseCombination(key); err == nil {
			t.Errorf("%q was read as %#v", key, c)
		}
	}
}

// FuzzCombination: every combination is read back from its key, and whatever can be read
// is the key of what it says; so no two combinations have one key.
func FuzzCombination(f *testing.F) {
	f.Add("kim", "", "kim@example.net", "user:kim")
	f.Add(`\|`, `|`, `\\|email:`, `user:\\\|`)
	f.Fuzz(func(t *testing.T, user, anonymous, email, key string) {
		c := identity.Combination{UserID: user, AnonymousID: anonymous, Email: email}
		if back, err := identity.ParseCombination(c.Key()); err != nil || back != c {
			t.Errorf("%#v has the key %q, which is read as %#v (%v)", c, c.Key(), back, err)
		}
		if read, err := identity.ParseCombination(key); err == nil && read.Key() != key {
			t.Errorf("%q is read as %#v, whose key is %q", key, read, read.Key())
		}
	})
}
