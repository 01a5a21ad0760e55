package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// Difference is one thing that is not as expected.
type Difference struct {
	Subject string // what was compared: "members of bakers", "sent"
	Of      string // which profile, id or number; "" if the subject says it all
	Want    string
	Got     string
	Why     string // what is known of the reason; "" if nothing
}

// Words for what is expected and what came.
const (
	isMember  = "a member"
	noMember  = "no member"
	noValue   = "no value"
	nothing   = "nothing"
	accepted  = "accepted"
	isRefused = "refused"
)

// valueKeys are the definitions whose values are compared, in the order of the alphabet.
func (e *Expectation) valueKeys() []string {
	keys := map[string]bool{}
	for key := range e.Members {
		keys[key] = true
	}
	for key := range e.Traits {
		keys[key] = true
	}
	for key := range e.MembersCount {
		keys[key] = true
	}
	for key := range e.TraitSum {
		keys[key] = true
	}
	for key := range e.TraitCount {
		keys[key] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

// compareRejected compares the definitions that were refused.
func compareRejected(want []string, refused []*engine.DefinitionError) []Difference {
	var all []Difference
	missing := slices.Clone(want)
	for _, bad := range refused {
		if i := slices.Index(missing, bad.Key); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
			continue
		}
		if !slices.Contains(want, bad.Key) {
			all = append(all, Difference{Subject: "definitions", Of: bad.Key, Want: accepted, Got: isRefused, Why: bad.Error()})
		}
	}
	for _, key := range missing {
		all = append(all, Difference{Subject: "definitions", Of: key, Want: isRefused, Got: accepted})
	}
	return all
}

// compareMembers compares the members of an audience with the exact set.
func compareMembers(key string, want []identity.ID, members []Holder, heard memory) []Difference {
	c := claims{subject: "members of " + key, key: key, holders: members, heard: heard}
	for _, id := range want {
		if h := c.claim(id, isMember); h == nil {
			c.differ(refText(id), []identity.ID{id}, isMember, noMember)
		}
	}
	c.unclaimed(noMember, func(Holder) string { return isMember })
	return c.found
}

// compareTraits compares the values of a trait with the exact values by profile.
func compareTraits(key string, want map[identity.ID]query.Value, holders []Holder, heard memory) []Difference {
	c := claims{subject: "values of " + key, key: key, holders: holders, heard: heard}
	for _, id := range slices.SortedFunc(maps.Keys(want), compareIDs) {
		value := want[id]
		if h := c.claim(id, value.String()); h == nil {
			c.differ(refText(id), []identity.ID{id}, value.String(), noValue)
		} else if !sameValue(h.Value, value) {
			c.differ(nameOf(h.IDs), h.IDs, value.String(), h.Value.String())
		}
	}
	c.unclaimed(noValue, func(h Holder) string { return h.Value.String() })
	return c.found
}

func compareIDs(a, b identity.ID) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
}

// claims finds, for ids that a scenario names, the profiles that have them. Two names
// must not stand for one profile: whoever writes two expects two.
type claims struct {
	subject string
	key     string
	holders []Holder
	heard   memory

	index   map[identity.ID]int
	claimed map[int]identity.ID
	found   []Difference
}

// claim is the holder that has the id; nil if there is none.
func (c *claims) claim(id identity.ID, want string) *Holder {
	if c.index == nil {
		c.index, c.claimed = make(map[identity.ID]int, len(c.holders)), make(map[int]identity.ID)
		for i, h := range c.holders {
			for _, id := range h.IDs {
				c.index[id] = i
			}
		}
	}
	i, ok := c.index[id]
	if !ok {
		return nil
	}
	if first, twice := c.claimed[i]; twice && first != id {
		c.found = append(c.found, Difference{
			Subject: c.subject, Of: refText(id), Want: want + ", as another profile than " + refText(first), Got: "one profile",
			Why: nameOf(c.holders[i].IDs),
		})
	}
	c.claimed[i] = id
	return &c.holders[i]
}

func (c *claims) differ(name string, ids []identity.ID, want, got string) {
	c.found = append(c.found, Difference{Subject: c.subject, Of: name, Want: want, Got: got, Why: c.heard.why(c.key, ids)})
}

// unclaimed notes the holders that nobody named.
func (c *claims) unclaimed(want string, got func(Holder) string) {
	from := len(c.found)
	for i, h := range c.holders {
		if _, ok := c.claimed[i]; !ok {
			c.differ(nameOf(h.IDs), h.IDs, want, got(h))
		}
	}
	slices.SortFunc(c.found[from:], func(a, b Difference) int { return cmp.Compare(a.Of, b.Of) })
}

// compareNumbers compares what is expected of all holders of a definition together.
func (e *Expectation) compareNumbers(key string, holders []Holder) []Difference {
	var all []Difference
	if want, ok := e.MembersCount[key]; ok && want != len(holders) {
		all = append(all, Difference{Subject: "number of members of " + key, Want: fmt.Sprint(want), Got: fmt.Sprint(len(holders))})
	}
	if want, ok := e.TraitCount[key]; ok && want != len(holders) {
		all = append(all, Difference{Subject: "number of values of " + key, Want: fmt.Sprint(want), Got: fmt.Sprint(len(holders))})
	}
	if want, ok := e.TraitSum[key]; ok {
		sum, others := sumOf(holders)
		if others > 0 {
			all = append(all, Difference{Subject: "sum of " + key, Want: want.String(), Got: fmt.Sprintf("values that are no numbers, %d of %d", others, len(holders))})
		} else if !sum.Round(cents).Equal(want.Round(cents)) {
			all = append(all, Difference{Subject: "sum of " + key, Want: want.String(), Got: sum.Round(cents).String()})
		}
	}
	return all
}
