package query_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"muster/query"
	"muster/query/querytest"
)

func drawDefinition(t *rapid.T) (*query.Definition, string) {
	purpose := rapid.SampledFrom([]query.Purpose{query.Audience, query.Trait}).Draw(t, "purpose")
	text := querytest.Definitions(purpose).Draw(t, "definition")
	d, diagnostics := query.Compile(text, query.CheckOptions{Purpose: purpose})
	if err := diagnostics.Err(); err != nil {
		t.Fatalf("drew an invalid %s\n%s", purpose, diagnostics.Render())
	}
	return d, text
}

// given are leaf values that were computed before.
type given struct {
	leaves map[string]query.Value
	traits map[string]query.Value
}

func (g given) Leaf(l *query.Leaf) query.Value { return g.leaves[l.Text] }
func (g given) Trait(key string) query.Value   { return g.traits[key] }

func leafValues(d *query.Definition, p query.Profile, asOf time.Time) given {
	g := given{map[string]query.Value{}, p.Traits}
	for _, l := range d.Leaves {
		g.leaves[l.Text] = l.Eval(p, asOf)
	}
	return g
}

func TestEvalWithLeafValuesIsEval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := drawDefinition(t)
		p, asOf := querytest.Profiles().Draw(t, "profile"), querytest.Instants().Draw(t, "as of")
		want := d.Eval(p, asOf)
		if got := d.EvalWith(leafValues(d, p, asOf), asOf); !got.Equal(want) {
			t.Fatalf("%s\nis %v with leaf values, %v without", d.Text(), got, want)
		}
		if x := d.Explain(p, asOf); !x.Value.Equal(want) && !(x.Value.Kind() != query.KindArray && want.Kind() == query.KindArray) {
			t.Fatalf("%s\nis explained as %v, but is %v", d.Text(), x.Value, want)
		}
		if d.Purpose == query.Audience && want.Kind() != query.KindBool {
			t.Fatalf("an audience is %v", want)
		}
	})
}

func TestPrintedDefinitionIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, text := drawDefinition(t)
		again, diagnostics := query.Compile(d.Text(), query.CheckOptions{Purpose: d.Purpose})
		if diagnostics.Err() != nil {
			t.Fatalf("%s\nis printed as\n%s", text, diagnostics.Render())
		}
		if again.Text() != d.Text() {
			t.Fatalf("%s\nis printed as\n%s\nthen as\n%s", text, d.Text(), again.Text())
		}
		if again.Class != d.Class || !slices.Equal(again.ClassBecause, d.ClassBecause) && len(again.ClassBecause) == 0 {
			t.Fatalf("%s is %s, printed it is %s", text, d.Class, again.Class)
		}
		p, asOf := querytest.Profiles().Draw(t, "profile"), querytest.Instants().Draw(t, "as of")
		if a, b := d.Eval(p, asOf), again.Eval(p, asOf); !a.Equal(b) {
			t.Fatalf("%s is %v, printed it is %v", text, a, b)
		}
		for i, l := range d.Leaves {
			if again.Leaves[i].Text != l.Text {
				t.Fatalf("leaf %s became %s", l.Text, again.Leaves[i].Text)
			}
		}
	})
}

// A foldable leaf is a fold of what each event contributes by itself.
func TestFoldableLeafIsAFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := drawDefinition(t)
		p, asOf := querytest.Profiles().Draw(t, "profile"), querytest.Instants().Draw(t, "as of")
		for _, l := range d.Leaves {
			if !l.Foldable {
				continue
			}
			if got, want := fold(l, p.Events, asOf), l.Eval(p, asOf); !got.Equal(want) {
				t.Fatalf("%s\nfolds to %v, is %v", l.Text, got, want)
			}
		}
	})
}

func fold(l *query.Leaf, events []*query.Event, asOf time.Time) query.Value {
	var sum decimal.Decimal
	var n, matched int64
	counts := map[string]int{}
	var best query.Value
	var bestOf *query.Event
	for _, e := range events {
		if !l.Match(e) || l.Window != nil && (e.Time.Before(asOf.Add(-l.Window.Far)) || e.Time.After(asOf.Add(-l.Window.Near))) {
			continue
		}
		matched++
		for _, v := range l.Values(e) {
			n++
			counts[v.AsText()]++
			number, isNumber := v.Decimal()
			sum = sum.Add(number)
			bestNumber, _ := best.Decimal()
			less, more := number.LessThan(bestNumber), number.GreaterThan(bestNumber)
			if l.Reducer.As == query.AsString || !isNumber {
				less, more = v.AsText() < best.AsText(), v.AsText() > best.AsText()
			}
			takes := bestOf == nil
			switch l.Reducer.Op {
			case query.OpMin:
				takes = takes || less
			case query.OpMax:
				takes = takes || more
			case query.OpFirst:
				takes = takes || before(e, bestOf)
			case query.OpLast:
				takes = takes || !before(e, bestOf)
			case query.OpCount, query.OpSum, query.OpAvg, query.OpMode, query.OpUnique: // no value is the best
			}
			if takes {
				best, bestOf = v, e
			}
		}
	}
	switch l.Reducer.Op {
	case query.OpCount:
		return query.Int(matched)
	case query.OpSum:
		if n == 0 {
			return query.Null()
		}
		return query.Number(sum)
	case query.OpAvg:
		return query.Average(sum, n)
	case query.OpMode:
		best, most := "", l.Reducer.AtLeast-1
		for text, k := range counts {
			if k > most || k == most && best != "" && text < best {
				best, most = text, k
			}
		}
		if most < l.Reducer.AtLeast {
			return query.Null()
		}
		if number, ok := query.Text(best).Decimal(); ok && l.Reducer.As == query.AsNumber {
			return query.Number(number)
		}
		return query.Text(best)
	case query.OpUnique:
		var list []query.Value
		for text := range counts {
			list = append(list, query.Text(text))
		}
		if list == nil {
			return query.Null()
		}
		slices.SortFunc(list, func(a, b query.Value) int { return compareText(a.AsText(), b.AsText()) })
		return query.List(list)
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		return best
	}
	panic("no such reducer")
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

func before(a, b *query.Event) bool {
	return a.Time.Before(b.Time) || a.Time.Equal(b.Time) && a.Arrival < b.Arrival
}

// Between now and the next change nothing changes; at it, the value does.
func TestNextChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := drawDefinition(t)
		p, asOf := querytest.Profiles().Draw(t, "profile"), querytest.Instants().Draw(t, "as of")
		check := func(what string, value func(time.Time) query.Value, next time.Time, ok bool) {
			now := value(asOf)
			for i := range 24 * 12 {
				at := asOf.Add(time.Duration(i) * time.Hour).Truncate(time.Hour)
				for _, at := range []time.Time{at, at.Add(1), at.Add(-1)} {
					if at.After(asOf) && (!ok || at.Before(next)) && !value(at).Equal(now) {
						t.Fatalf("%s\nis %v at %v, then %v at %v, but is said to change at %v (%v)", what, now, asOf, value(at), at, next, ok)
					}
				}
			}
			if ok && (!next.After(asOf) || value(next).Equal(now)) {
				t.Fatalf("%s\nis %v at %v and does not change at %v", what, now, asOf, next)
			}
		}
		next, ok := d.NextChange(p, asOf)
		check(d.Text(), func(at time.Time) query.Value { return d.Eval(p, at) }, next, ok)
		if ok && d.Class != query.Scheduled {
			t.Fatalf("%s is %s, but changes at %v", d.Text(), d.Class, next)
		}
		for _, l := range d.Leaves {
			next, ok := l.NextChange(p, asOf)
			check(l.Text, func(at time.Time) query.Value { return l.Eval(p, at) }, next, ok)
		}
	})
}

// With the leaf values fixed, nothing changes before NextTraitChange.
func TestNextTraitChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := drawDefinition(t)
		p, asOf := querytest.Profiles().Draw(t, "profile"), querytest.Instants().Draw(t, "as of")
		in := leafValues(d, p, asOf)
		now := d.EvalWith(in, asOf)
		next, ok := d.NextTraitChange(in, asOf)
		if ok && !next.After(asOf) {
			t.Fatalf("the next change of %s at %v is said to be %v", d.Text(), asOf, next)
		}
		for i := range 24 * 12 {
			at := asOf.Add(time.Duration(i) * time.Hour).Truncate(time.Hour)
			for _, at := range []time.Time{at, at.Add(1), at.Add(30 * time.Minute)} {
				if at.After(asOf) && (!ok || at.Before(next)) && !d.EvalWith(in, at).Equal(now) {
					t.Fatalf("%s changes at %v, before %v (%v)", d.Text(), at, next, ok)
				}
			}
		}
	})
}

// Neither the order in which events are given nor other events matter.
func TestOrderOfEventsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := drawDefinition(t)
		p, asOf := querytest.Profiles().Draw(t, "profile"), querytest.Instants().Draw(t, "as of")
		want := d.Eval(p, asOf)
		p.Events = append(rapid.Permutation(p.Events).Draw(t, "shuffled"), &query.Event{Name: "Other", Time: asOf})
		if got := d.Eval(p, asOf); !got.Equal(want) {
			t.Fatalf("%s\nis %v, with the events in another order %v", d.Text(), want, got)
		}
	})
}
