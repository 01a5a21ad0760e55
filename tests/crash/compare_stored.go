package crash

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// messageIDs holds the message ids that were taken to the answers: all of a request that
// was answered 200; of another, what it says of one person or nothing.
func (c *comparison) messageIDs() {
	taken := make(map[[16]byte]bool)
	var key [16]byte
	// Behind midnight a key is kept for two days.
	c.query(`SELECT DISTINCT key FROM muster.message_keys`, []any{&key}, func() { taken[key] = true })
	sent := 0
	for _, q := range c.requests {
		c.report.Requests++
		c.report.Broken += q.broken
		c.report.Refused += q.refused
		if q.answered {
			c.report.Answered++
			c.report.Calls += len(q.calls)
			c.report.Repeated += q.repeated
		}
		present := make(map[*call]bool)
		for _, one := range q.calls {
			sum := sha256.Sum256([]byte(one.id))
			if taken[[16]byte(sum[:16])] {
				present[one] = true
				c.calls = append(c.calls, one)
			}
		}
		sent += len(present)
		if q.answered && len(present) < len(q.calls) {
			c.report.differ("%s was answered 200, and of its %d calls %d are taken", q.calls[0].id, len(q.calls), len(present))
			continue
		}
		for _, together := range byPerson(q.calls) {
			n := 0
			for _, one := range together {
				if present[one] {
					n++
				}
			}
			if n > 0 && n < len(together) {
				c.report.differ("the request of %s was not answered, and of %d calls of one person %d are taken", together[0].id, len(together), n)
			}
		}
	}
	c.report.Stored = len(c.calls)
	if len(taken) != sent {
		c.report.differ("%d message ids are taken that were never sent", len(taken)-sent)
	}
	c.report.Compared += len(taken)
}

// byPerson puts together calls that share ids, directly or through others.
func byPerson(calls []*call) (people [][]*call) {
	of := make(map[string]int) // place in people, by id
	for _, one := range calls {
		home := len(people)
		people = append(people, []*call{one})
		for _, id := range []string{one.user, one.anonymous} {
			if id == "" {
				continue
			}
			if other, known := of[id]; known && other != home {
				first, second := min(home, other), max(home, other)
				people[first] = append(people[first], people[second]...)
				people[second], home = nil, first
				for id, place := range of {
					if place == second {
						of[id] = first
					}
				}
			}
			of[id] = home
		}
	}
	return slices.DeleteFunc(people, func(p []*call) bool { return p == nil })
}

// storedEvents holds the event log to the calls that were taken.
func (c *comparison) storedEvents() {
	type stored struct {
		name, call string
		at, since  time.Time // since: its receipt
	}
	log := make(map[string][]stored)
	var id string
	var s stored
	c.query(`SELECT e.message_id, n.name, coalesce(e.properties->>'call', ''), e.ts, e.received_at
		FROM muster.events e JOIN muster.event_names n USING (event_name_id)`,
		[]any{&id, &s.name, &s.call, &s.at, &s.since}, func() { log[id] = append(log[id], s) })
	for _, one := range c.calls {
		found := log[one.id]
		delete(log, one.id)
		switch {
		case one.event == "" && len(found) == 0:
			continue
		case one.event == "":
			c.report.differ("the %s %s is in the event log", one.kind, one.id)
			continue
		case len(found) != 1:
			c.report.differ("the %s %s is %d times in the event log", one.kind, one.id, len(found))
			continue
		}
		s := found[0]
		at := one.at
		if one.clamped {
			at = s.since.Truncate(time.Millisecond)
		}
		if s.name != one.event || s.call != one.id || !s.at.Equal(at) {
			c.report.differ("%s was %s at %v, and is stored as %s (%s) at %v", one.id, one.event, at, s.name, s.call, s.at)
		}
		c.report.Compared++
	}
	for id := range log {
		c.report.differ("the event %q is stored and was not taken, or never sent", id)
	}
}

// externalIDs are those that a call gives to one profile.
func (c *call) externalIDs() (ids []string) {
	if c.user != "" {
		ids = append(ids, "user_id:"+c.user)
	}
	if c.anonymous != "" {
		ids = append(ids, "anonymous_id:"+c.anonymous)
	}
	if c.email != "" {
		ids = append(ids, "email:"+c.email)
	}
	return ids
}

// people holds the profiles to the ids of the calls, joined in the plainest way.
func (c *comparison) people() {
	parents := make(map[string]string)
	var root func(id string) string
	root = func(id string) string {
		if parents[id] == id {
			return id
		}
		parents[id] = root(parents[id])
		return parents[id]
	}
	for _, one := range c.calls {
		ids := one.externalIDs()
		for _, id := range ids {
			if parents[id] == "" {
				parents[id] = id
			}
			parents[root(id)] = root(ids[0])
		}
	}
	c.owners = make(map[string]int64)
	profiles := make(map[string]int64) // by root
	roots := make(map[int64]string)
	var id string
	var profile int64
	c.query(`SELECT id_type || ':' || id_value, profile_id FROM muster.external_ids`, []any{&id, &profile}, func() {
		if _, twice := c.owners[id]; twice {
			c.report.differ("%s belongs to two profiles", id)
		}
		c.owners[id] = profile
	})
	for _, id := range slices.Sorted(maps.Keys(c.owners)) {
		if parents[id] == "" {
			c.report.differ("%s is stored and was never sent", id)
			continue
		}
		profile, r := c.owners[id], root(id)
		if other, ok := profiles[r]; ok && other != profile {
			c.report.differ("%s is of profile %d, and %s, which is of the same person, of %d", id, profile, r, other)
		}
		if other, ok := roots[profile]; ok && other != r {
			c.report.differ("profile %d is that of %s and that of %s, who are two", profile, r, other)
		}
		profiles[r], roots[profile] = profile, r
	}
	for id := range parents {
		if _, ok := c.owners[id]; !ok {
			c.report.differ("%s is of no profile", id)
		}
	}
	c.report.Compared += len(parents)
}

// owner is the profile of a call that was taken.
func (c *comparison) owner(one *call) int64 { return c.owners[one.externalIDs()[0]] }

// traits holds each profile's level to the latest identify that said one.
func (c *comparison) traits() {
	latest := make(map[int64]time.Time)
	levels := make(map[int64]map[string]bool) // of that moment
	unclear := make(map[int64]bool)           // who said one at the moment of its receipt, which the client does not know
	for _, one := range c.calls {
		if one.level == "" {
			continue
		}
		p := c.owner(one)
		switch newer := one.at.Compare(latest[p]); {
		case one.clamped:
			unclear[p] = true
		case newer > 0:
			latest[p], levels[p] = one.at, map[string]bool{one.level: true}
		case newer == 0:
			levels[p][one.level] = true
		}
	}
	var profile int64
	var level string
	c.query(`SELECT profile_id, coalesce(value #>> '{}', '') FROM muster.traits WHERE key = 'level'`, []any{&profile, &level}, func() {
		if !unclear[profile] && !levels[profile][level] {
			c.report.differ("profile %d has the level %q, and said last %v", profile, level, slices.Collect(maps.Keys(levels[profile])))
		}
		delete(levels, profile)
		c.report.Compared++
	})
	for profile := range levels {
		c.report.differ("profile %d has no level", profile)
	}
}

// groups holds the members of accounts to the group calls.
func (c *comparison) groups() {
	type member struct {
		profile int64
		group   string
	}
	want := make(map[member]bool)
	for _, one := range c.calls {
		if one.group != "" {
			want[member{c.owner(one), one.group}] = true
		}
	}
	var m member
	c.query(`SELECT profile_id, group_id FROM muster.account_members`, []any{&m.profile, &m.group}, func() {
		if !want[m] {
			c.report.differ("profile %d is a member of %s, which nobody said", m.profile, m.group)
		}
		delete(want, m)
		c.report.Compared++
	})
	for m := range want {
		c.report.differ("profile %d is no member of %s", m.profile, m.group)
	}
}

// values of one computation, by profile.
type values map[int64]any

// orders holds the number of orders that is computed to that of the calls, without any help
// of the product's code, and keeps all values.
func (c *comparison) orders() {
	c.values = make(map[string]values)
	var key, text string
	var profile int64
	c.query(`SELECT c.key, v.profile_id, v.value::text FROM muster.computed_values v JOIN muster.computations c USING (computation_id)
		WHERE c.deleted_at IS NULL`, []any{&key, &profile, &text}, func() {
		if c.values[key] == nil {
			c.values[key] = make(values)
		}
		c.values[key][profile] = decoded([]byte(text))
	})
	want := make(values)
	for _, one := range c.calls {
		if one.event == "Order Completed" {
			n, _ := want[c.owner(one)].(float64)
			want[c.owner(one)] = n + 1
		}
	}
	for profile, n := range want {
		if have := c.values[ordersKey][profile]; have != n {
			c.report.differ("profile %d has %v orders, computed are %v", profile, n, have)
		}
		c.report.Compared++
	}
}

// decoded is a JSON value as the imitation of Mixpanel holds it.
func decoded(text []byte) (v any) {
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	return v
}
