package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"muster/event"
	"muster/identity"
)

var t0 = time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// world keeps profiles as a store does: every batch gets a graph of the profiles that it
// can touch, and the world changes by the graph's Diff alone.
type world struct {
	tb       testing.TB
	rules    *identity.Rules
	profiles map[identity.ProfileID]identity.Profile
	owners   map[identity.ID]identity.ProfileID
	last     identity.ProfileID
}

func newWorld(tb testing.TB, s identity.Settings) *world {
	rules, err := s.Compile()
	if err != nil {
		tb.Fatal(err)
	}
	return &world{tb: tb, rules: rules, profiles: make(map[identity.ProfileID]identity.Profile), owners: make(map[identity.ID]identity.ProfileID)}
}

// arrival is a call and when it was received.
type arrival struct {
	call *event.Call
	at   time.Time
}

// batch resolves calls as one batch.
func (w *world) batch(arrivals ...arrival) []identity.Resolution {
	w.tb.Helper()
	g := identity.NewGraph(w.rules)
	var evidence []identity.Evidence
	var lookup []identity.ID
	for _, a := range arrivals {
		e := w.rules.Extract(a.call)
		evidence = append(evidence, e)
		lookup = e.Lookup(lookup)
	}
	for _, id := range lookup {
		owner, known := w.owners[id]
		if _, there := g.Profile(owner); known && !there {
			if err := g.Add(w.profiles[owner]); err != nil {
				w.tb.Fatal(err)
			}
		}
	}
	var resolutions []identity.Resolution
	for i, a := range arrivals {
		resolutions = append(resolutions, g.Resolve(evidence[i], a.at, func() identity.ProfileID { w.last++; return w.last }))
	}
	for i := range resolutions {
		resolutions[i].Profile = g.Canonical(resolutions[i].Profile)
	}
	w.write(g.Diff())
	for id, p := range w.profiles {
		if now, there := g.Profile(id); there && !slices.Equal(now.Links, p.Links) {
			w.tb.Fatalf("profile %d is %v in the graph and %v after writing its changes", id, now.Links, p.Links)
		}
	}
	return resolutions
}

// write does what a store does with a Diff.
func (w *world) write(d identity.Diff) {
	w.tb.Helper()
	for _, p := range d.Created {
		if _, there := w.profiles[p.ID]; there {
			w.tb.Fatalf("profile %d was created twice", p.ID)
		}
		w.profiles[p.ID] = identity.Profile{ID: p.ID, CreatedAt: p.CreatedAt, Merges: p.Merges}
	}
	for _, m := range d.Merged {
		loser, there := w.profiles[m.Loser]
		survivor, alsoThere := w.profiles[m.Survivor]
		if !there || !alsoThere {
			w.tb.Fatalf("merge of %v: one of them is not there", m)
		}
		for _, link := range loser.Links {
			w.owners[link.ID] = m.Survivor
		}
		survivor.Links = append(slices.Clone(survivor.Links), loser.Links...)
		w.profiles[m.Survivor] = survivor
		delete(w.profiles, m.Loser)
	}
	for _, m := range d.Mapped {
		p, there := w.profiles[m.Profile]
		if _, owned := w.owners[m.Link.ID]; owned || !there {
			w.tb.Fatalf("%v is mapped, but owned (%t) or its profile is not there", m, owned)
		}
		w.owners[m.Link.ID] = m.Profile
		p.Links = append(slices.Clone(p.Links), m.Link)
		w.profiles[m.Profile] = p
	}
	for _, grown := range d.Grown {
		p := w.profiles[grown.ID]
		if len(grown.Links) != len(p.Links) {
			w.tb.Fatalf("profile %d is said to have %d ids and has %d", grown.ID, len(grown.Links), len(p.Links))
		}
		p.Merges = grown.Merges
		w.profiles[grown.ID] = p
	}
	for id, p := range w.profiles { // the store reads them in order
		slices.SortFunc(p.Links, func(a, b identity.Link) int {
			return strings.Compare(order(a), order(b))
		})
		w.profiles[id] = p
	}
}

func order(l identity.Link) string {
	return l.AddedAt.Format("2006-01-02T15:04:05.000000000") + "\x00" + l.ID.Type + "\x00" + l.ID.Value
}

// String is all profiles: "1: user_id:kim anonymous_id:a1".
func (w *world) String() string {
	var lines []string
	for id, p := range w.profiles {
		line := fmt.Sprintf("%d:", id)
		for _, link := range p.Links {
			line += " " + link.ID.String()
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// newCall makes a call of words such as "user:kim email:k@x.test anon:a1 loyalty:7", or
// "previous:a1 user:kim" for an alias. A type of no own word goes to externalIds.
func newCall(words string) *event.Call {
	type external struct {
		ID         string `json:"id"`
		Type       string `json:"type"`
		Collection string `json:"collection"`
		Encoding   string `json:"encoding"`
	}
	c := &event.Call{Type: event.Identify, MessageID: words}
	var externals []external
	for word := range strings.FieldsSeq(words) {
		typ, value, _ := strings.Cut(word, ":")
		switch typ {
		case "user":
			c.UserID = value
		case "anon":
			c.AnonymousID = value
		case "previous":
			c.Type, c.PreviousID = event.Alias, value
		case "email":
			if c.Traits == nil {
				c.Traits, _ = json.Marshal(map[string]string{"email": value})
				break
			}
			externals = append(externals, external{value, typ, "users", "none"})
		default:
			externals = append(externals, external{value, typ, "users", "none"})
		}
	}
	if externals != nil {
		c.Context, _ = json.Marshal(map[string]any{"externalIds": externals})
	}
	return c
}
