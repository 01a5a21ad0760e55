package identity_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/identity"
)

// callWords draws a call that carries some of few ids, so that profiles meet often.
func callWords() *rapid.Generator[string] {
	id := rapid.Custom(func(t *rapid.T) string {
		typ := rapid.SampledFrom([]string{"user", "anon", "anon", "email", "email", "loyalty", "previous"}).Draw(t, "type")
		return fmt.Sprintf("%s:%d ", typ, rapid.IntRange(1, 5).Draw(t, "value"))
	})
	return rapid.Custom(func(t *rapid.T) string {
		var words string
		for _, w := range rapid.SliceOfN(id, 0, 4).Draw(t, "ids") {
			words += w
		}
		return words
	})
}

// someSettings draws settings with tight limits.
func someSettings() *rapid.Generator[identity.Settings] {
	return rapid.Custom(func(t *rapid.T) identity.Settings {
		s := identity.Settings{
			Limits:    map[string]identity.Limit{},
			MaxMerges: rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "merges"),
			MaxIDs:    rapid.SampledFrom([]int{0, 3, 6}).Draw(t, "ids"),
		}
		for _, typ := range []string{"user_id", "anonymous_id", "email", "*"} {
			if rapid.Bool().Draw(t, typ) {
				s.Limits[typ] = identity.Limit{
					Max:    rapid.IntRange(1, 3).Draw(t, "max"),
					Period: rapid.SampledFrom([]identity.Period{"", identity.Ever, identity.Weekly, identity.Monthly}).Draw(t, "period"),
				}
			}
		}
		if rapid.Bool().Draw(t, "reordered") {
			s.Priority = rapid.Permutation([]string{"user_id", "anonymous_id", "email", "loyalty"}).Draw(t, "priority")
		}
		return s
	})
}

// TestResolveIsTheWrittenRule holds Resolve, in batches of any size, to a transcription
// of the rule that knows no graph, no scratch space and no short cuts.
func TestResolveIsTheWrittenRule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		settings := someSettings().Draw(rt, "settings")
		w := newWorld(t, settings)
		ref := reference{settings: settings, rules: w.rules}
		now := t0
		for range rapid.IntRange(1, 5).Draw(rt, "batches") {
			var batch []arrival
			var want []string
			for range rapid.IntRange(1, 6).Draw(rt, "calls") {
				now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(rt, "days")) * day)
				words := callWords().Draw(rt, "call")
				batch = append(batch, arrival{newCall(words), now})
				want = append(want, ref.resolve(w.rules.Extract(newCall(words)), now))
			}
			resolutions := w.batch(batch...)
			for i, r := range resolutions {
				if len(batch) > 1 {
					continue // Profile is that after the batch, not after the call
				}
				if got := outcome(r); got != want[i] {
					rt.Fatalf("%q: got %q, want %q\n%v", batch[i].call.MessageID, got, want[i], w)
				}
			}
			if got, want := w.String(), ref.String(); got != want {
				rt.Fatalf("after %d calls: got\n%s\nwant\n%s", len(batch), got, want)
			}
		}
	})
}

// reference is the rule as it is written, over a plain list of profiles.
type reference struct {
	settings identity.Settings
	rules    *identity.Rules
	profiles []identity.Profile // oldest first
	created  identity.ProfileID
}

func (ref *reference) owner(id identity.ID) (*identity.Profile, bool) {
	for i := range ref.profiles {
		for _, link := range ref.profiles[i].Links {
			if link.ID == id {
				return &ref.profiles[i], true
			}
		}
	}
	return nil, false
}

func (ref *reference) limit(typ string) identity.Limit {
	if l, ok := ref.settings.Limits[typ]; ok {
		return l
	}
	if typ == "user_id" {
		return identity.Limit{Max: 1}
	}
	if l, ok := ref.settings.Limits["*"]; ok {
		return l
	}
	return identity.Limit{Max: 5}
}

// rank is the place of a type among those that the tests use.
func (ref *reference) rank(typ string) int {
	order := ref.settings.Priority
	if order == nil {
		order = []string{"user_id", "email", "anonymous_id", "loyalty"}
	}
	return slices.Index(order, typ)
}

// held counts the values of a type that count at an instant.
func held(links []identity.Link, typ string, period identity.Period, at time.Time) int {
	n := 0
	for _, link := range links {
		days := map[identity.Period]time.Duration{identity.Weekly: 7, identity.Monthly: 30}[period]
		if link.ID.Type == typ && (days == 0 || link.AddedAt.After(at.Add(-days*day))) {
			n++
		}
	}
	return n
}

func (ref *reference) resolve(e identity.Evidence, at time.Time) string {
	res := identity.Resolution{Dropped: slices.Clone(e.Dropped)}
	ids := slices.Clone(e.IDs)
	if len(e.Previous) > 0 {
		previous := e.Previous[len(e.Previous)-1]
		for _, id := range e.Previous {
			if _, owned := ref.owner(id); owned {
				previous = id
				break
			}
		}
		if !slices.Contains(ids, previous) {
			ids = append(ids, previous)
		}
		slices.SortStableFunc(ids, func(a, b identity.ID) int { return cmp.Compare(ref.rank(a.Type), ref.rank(b.Type)) })
	}
	if len(ids) == 0 {
		res.Unresolved = true
		return outcome(res)
	}
	var owners map[identity.ProfileID]*identity.Profile
	for {
		owners = make(map[identity.ProfileID]*identity.Profile)
		var after []identity.Link
		for _, id := range ids {
			if p, owned := ref.owner(id); !owned {
				after = append(after, identity.Link{ID: id, AddedAt: at})
			} else if owners[p.ID] == nil {
				owners[p.ID] = p
				after = append(after, p.Links...)
			}
		}
		var named string // a type that is over its limit
		for _, link := range after {
			typ := link.ID.Type
			limit := ref.limit(typ)
			count := held(after, typ, limit.Period, at)
			adds := true
			for _, p := range owners {
				adds = adds && held(p.Links, typ, limit.Period, at) < count
			}
			if count <= limit.Max || !adds {
				continue
			}
			// The type that is named is that of the id to go, else the most important.
			if going := ids[len(ids)-1].Type; named == "" || typ == going || named != going && ref.rank(typ) < ref.rank(named) {
				named = typ
			}
		}
		rule := identity.Rule("")
		switch period := ref.limit(named).Period; {
		case named == "":
		case period == identity.Weekly || period == identity.Monthly:
			rule = identity.TimeLimit
		default:
			rule = identity.ValueLimit
		}
		if rule == "" {
			break
		}
		last := ids[len(ids)-1]
		res.Dropped = append(res.Dropped, identity.Violation{ID: last, Rule: rule})
		ids = ids[:len(ids)-1]
	}

	var home *identity.Profile
	sorted := slices.Sorted(maps.Keys(owners)) // the numbers are in the order of age
	maxMerges, maxIDs := cmp.Or(ref.settings.MaxMerges, 100), cmp.Or(ref.settings.MaxIDs, 1000)
	switch {
	case len(owners) == 0:
		ref.created++
		ref.profiles = append(ref.profiles, identity.Profile{ID: ref.created, CreatedAt: at})
		home = &ref.profiles[len(ref.profiles)-1]
		res.Created = true
	case owners[sorted[0]].Merges+len(owners)-1 <= maxMerges:
		survivor := sorted[0]
		for _, id := range ids { // losers in the order in which the call names them
			if p, owned := ref.owner(id); owned && p.ID != survivor {
				res.Merged = append(res.Merged, p.ID)
				links := p.Links
				ref.profiles = slices.DeleteFunc(ref.profiles, func(q identity.Profile) bool { return q.ID == res.Merged[len(res.Merged)-1] })
				i := slices.IndexFunc(ref.profiles, func(q identity.Profile) bool { return q.ID == survivor })
				ref.profiles[i].Links = append(ref.profiles[i].Links, links...)
				ref.profiles[i].Merges++
			}
		}
		home = &ref.profiles[slices.IndexFunc(ref.profiles, func(q identity.Profile) bool { return q.ID == survivor })]
	default:
		for _, id := range ids {
			p, owned := ref.owner(id)
			if owned && home == nil {
				home = p
			}
			if owned && p != home {
				res.Dropped = append(res.Dropped, identity.Violation{ID: id, Rule: identity.MergeLimit})
			}
		}
	}
	for _, id := range ids {
		if _, owned := ref.owner(id); owned {
			continue
		}
		if len(home.Links) >= maxIDs {
			res.Dropped = append(res.Dropped, identity.Violation{ID: id, Rule: identity.MappingLimit})
			continue
		}
		added := at
		for _, link := range home.Links {
			if link.ID.Type == id.Type && !link.AddedAt.Before(added) {
				added = link.AddedAt.Add(time.Microsecond)
			}
		}
		home.Links = append(home.Links, identity.Link{ID: id, AddedAt: added})
	}
	res.Profile = home.ID
	return outcome(res)
}

func (ref *reference) String() string {
	w := world{profiles: make(map[identity.ProfileID]identity.Profile)}
	for _, p := range ref.profiles {
		p.Links = slices.Clone(p.Links)
		slices.SortFunc(p.Links, func(a, b identity.Link) int { return cmp.Compare(order(a), order(b)) })
		w.profiles[p.ID] = p
	}
	return w.String()
}

// TestResolveKeepsItsPromises checks what must hold whatever the rule says in detail.
func TestResolveKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		settings := someSettings().Draw(rt, "settings")
		w := newWorld(t, settings)
		limitOf := (&reference{settings: settings}).limit
		now := t0
		for range rapid.IntRange(1, 25).Draw(rt, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(rt, "days")) * day)
			before := maps.Clone(w.profiles)
			call := newCall(callWords().Draw(rt, "call"))
			r := w.batch(arrival{call, now})[0]

			evidence := w.rules.Extract(call)
			for _, id := range evidence.IDs {
				dropped := slices.ContainsFunc(r.Dropped, func(v identity.Violation) bool { return v.ID == id })
				if owns := w.owners[id] == r.Profile && !r.Unresolved; owns == dropped {
					// A dropped id may still be one of the profile's own.
					if _, mine := before[r.Profile]; !dropped || !mine {
						rt.Fatalf("%v of the call: dropped %t, the profile's %t", id, dropped, owns)
					}
				}
			}
			if r.Unresolved != (len(evidence.IDs)+len(evidence.Previous) == 0) {
				rt.Fatalf("unresolved: %t, but the ids are %v", r.Unresolved, evidence)
			}
			for _, loser := range r.Merged {
				if s, l := w.profiles[r.Profile], before[loser]; s.CreatedAt.After(l.CreatedAt) || s.ID > l.ID {
					rt.Fatalf("%+v survived the older %+v", s, l)
				}
			}
			for _, p := range w.profiles {
				if len(p.Links) == 0 {
					rt.Fatalf("profile %d has no id", p.ID)
				}
			}
			changed := w.profiles[r.Profile]
			if len(r.Added)+len(r.Merged) == 0 {
				continue
			}
			for _, link := range changed.Links {
				limit := limitOf(link.ID.Type)
				if n := held(changed.Links, link.ID.Type, limit.Period, now); n > limit.Max {
					rt.Fatalf("the profile holds %d values of %s, more than %v", n, link.ID.Type, limit)
				}
			}
		}
	})
}

// TestOrderDoesNotMatterWithoutLimits: who belongs together is then a matter of which
// ids were seen together, and the first call's profile survives.
func TestOrderDoesNotMatterWithoutLimits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		settings := identity.Settings{
			Limits:    map[string]identity.Limit{"user_id": {Max: 1000}, "*": {Max: 1000}},
			MaxMerges: 1000,
		}
		word := rapid.Map(rapid.StringMatching(`(user|anon|email|loyalty):[1-9] (user|anon|email|loyalty):[1-9]`), func(s string) string { return s })
		calls := rapid.SliceOfN(word, 1, 15).Draw(rt, "calls")
		groups := func(calls []string) string {
			w := newWorld(t, settings)
			var batch []arrival
			first := make(map[identity.ID]time.Time)
			for i, c := range calls {
				a := arrival{newCall(c), t0.Add(time.Duration(i) * time.Second)}
				batch = append(batch, a)
				for _, id := range w.rules.Extract(a.call).IDs {
					if _, seen := first[id]; !seen {
						first[id] = a.at
					}
				}
			}
			size := rapid.IntRange(1, len(batch)).Draw(rt, "batch size")
			for chunk := range slices.Chunk(batch, size) {
				w.batch(chunk...)
			}
			var sets []string
			for _, p := range w.profiles {
				var ids []string
				oldest := p.Links[0].AddedAt
				for _, link := range p.Links {
					ids = append(ids, link.ID.String())
					if first[link.ID].Before(oldest) {
						oldest = first[link.ID]
					}
				}
				if !p.CreatedAt.Equal(oldest) {
					rt.Fatalf("profile %+v is not that of its first call at %v", p, oldest)
				}
				slices.Sort(ids)
				sets = append(sets, fmt.Sprint(ids))
			}
			slices.Sort(sets)
			return fmt.Sprint(sets)
		}
		shuffled := rapid.Permutation(calls).Draw(rt, "shuffled")
		if a, b := groups(calls), groups(shuffled); a != b {
			rt.Fatalf("%v\n%v", a, b)
		}
	})
}
