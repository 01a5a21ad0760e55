package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster/query"
	"muster/query/querytest"
)

// A history that is split into parts, folded in any order, merged, partly removed and
// stored in between amounts to what the reference evaluator says of what remains.
func TestFoldsAreTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaf := foldableLeaf(t)
		events := querytest.Events(14).Draw(t, "history")
		asOf := querytest.Instants().Draw(t, "present")
		events = slices.DeleteFunc(events, func(e *query.Event) bool {
			return !leaf.Match(e) || leaf.Window != nil && !leaf.Window.Contains(e.Time, asOf)
		})

		parts := make([][]*query.Event, rapid.IntRange(1, 4).Draw(t, "parts"))
		for _, e := range events {
			i := rapid.IntRange(0, len(parts)-1).Draw(t, "part")
			parts[i] = append(parts[i], e)
		}
		var whole State
		for _, part := range parts {
			whole.Merge(leaf, stored(t, leaf, folded(leaf, part)))
			whole = stored(t, leaf, whole)
		}
		check(t, leaf, whole, events, asOf)

		for _, part := range parts {
			if !rapid.Bool().Draw(t, "leaves") {
				continue
			}
			events = slices.DeleteFunc(events, func(e *query.Event) bool { return slices.Contains(part, e) })
			if !whole.Remove(leaf, folded(leaf, part)) {
				whole = folded(leaf, events)
			}
			whole = stored(t, leaf, whole)
			check(t, leaf, whole, events, asOf)
		}
	})
}

// A state is rebuilt only where it must be: subtracting is what makes windows cheap.
func TestSumsAndCountsNeedNoRebuilding(t *testing.T) {
	for _, text := range []string{"count()", "sum(property('n'))", "avg(property('n'))", "mode(property('n'))", "unique(property('n'))"} {
		leaf := leafOf(t, "event('A')."+text)
		whole, part := numbered(100), numbered(30)
		s := folded(leaf, whole)
		if !s.Remove(leaf, folded(leaf, part)) {
			t.Errorf("%s had to be rebuilt", text)
		}
	}
}

// Beyond the limit on different values the alphabetically first ones count, whatever the
// order, the parts and what has left in between.
func TestDistinctValuesBeyondTheLimit(t *testing.T) {
	for _, reducer := range []string{"unique(property('n'))", "mode(property('n'), 1)", "mode(property('n') as number)"} {
		t.Run(reducer, func(t *testing.T) {
			leaf := leafOf(t, "event('A')."+reducer)
			random := rand.New(rand.NewPCG(1, 2))
			events := numbered(MaxDistinct + 500)
			// One that occurs three times is the answer of mode, as long as it is not dropped.
			for _, again := range []int{MaxDistinct / 2, MaxDistinct / 2, MaxDistinct + 400, MaxDistinct + 400, MaxDistinct + 400} {
				e := *events[again]
				e.Arrival = int64(len(events) + 1)
				events = append(events, &e)
			}
			random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			asOf := querytest.Base
			var whole State
			for part := range slices.Chunk(events, 4000) {
				whole.Merge(leaf, folded(leaf, part))
			}
			check(t, leaf, whole, events, asOf)
			if whole.Dropped == 0 {
				t.Error("nothing was dropped")
			}
			for len(events) > 3000 {
				n := 1 + random.IntN(2500)
				var part []*query.Event
				part, events = events[:n], events[n:]
				if !whole.Remove(leaf, folded(leaf, part)) {
					whole = folded(leaf, events)
				}
				check(t, leaf, whole, events, asOf)
			}
		})
	}
}

func TestDamagedStatesAreRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaf := foldableLeaf(t)
		raw := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		_, _ = parseState(raw, leaf) // whatever it says, it does not panic
		p := NewProfile(1, nil)
		_ = p.SetStates(leaf.Event, raw)
	})
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func check(t fataler, l *query.Leaf, s State, events []*query.Event, asOf time.Time) {
	t.Helper()
	want := l.Eval(query.Profile{Events: events}, asOf)
	if got := s.Result(l); !got.Equal(want) {
		t.Fatalf("%s: %.300s, want %.300s", l.Text, got, want)
	}
}

func folded(l *query.Leaf, events []*query.Event) State {
	var s State
	for _, e := range events {
		s.Add(l, e)
	}
	return s
}

// stored is the state after it was written and read.
func stored(t fataler, l *query.Leaf, s State) State {
	again, err := parseState(appendState(nil, l, &s), l)
	if err != nil {
		t.Fatalf("%s: %v", l.Text, err)
	}
	if diff := cmp.Diff(appendState(nil, l, &s), appendState(nil, l, &again)); diff != "" {
		t.Fatalf("%s is not read as it was written:\n%s", l.Text, diff)
	}
	return again
}

// foldableLeaf draws one of a random definition.
func foldableLeaf(t *rapid.T) *query.Leaf {
	purpose := rapid.SampledFrom([]query.Purpose{query.Audience, query.Trait}).Draw(t, "purpose")
	text := querytest.Definitions(purpose).Filter(func(text string) bool {
		d, _ := query.Compile(text, query.CheckOptions{Purpose: purpose})
		return d != nil && slices.ContainsFunc(d.Leaves, func(l *query.Leaf) bool { return l.Foldable })
	}).Draw(t, "definition")
	d, _ := query.Compile(text, query.CheckOptions{Purpose: purpose})
	leaves := slices.DeleteFunc(slices.Clone(d.Leaves), func(l *query.Leaf) bool { return !l.Foldable })
	return leaves[rapid.IntRange(0, len(leaves)-1).Draw(t, "leaf")]
}

func leafOf(t *testing.T, text string) *query.Leaf {
	t.Helper()
	d, faults := query.Compile(text, query.CheckOptions{Purpose: query.Trait})
	if d == nil {
		t.Fatal(faults.Render())
	}
	return d.Leaves[0]
}

// numbered are events with a different number each.
func numbered(n int) []*query.Event {
	events := make([]*query.Event, n)
	for i := range events {
		events[i] = &query.Event{
			Name: "A", Time: querytest.Base.Add(time.Duration(i) * time.Second), Arrival: int64(i + 1),
			Properties: jsontext.Value(fmt.Sprintf(`{"n":%d}`, 100_000+i)),
		}
	}
	return events
}
