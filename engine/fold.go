package engine

import (
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"muster/query"
)

// MaxDistinct is how many distinct values the state of a mode or unique leaf
// keeps; further ones are dropped (docs/language.md, limits).
const MaxDistinct = 10_000

// State is what a profile's events amount to for one foldable leaf: a value of a
// commutative monoid. Events are added in any order, states of two parts of a
// history are merged, and the state of what leaves a window is removed.
// The zero State is that of no events.
type State struct {
	// N counts events for count, and the values taken for every other reducer.
	N int64
	// Total is the sum of the values, for sum and avg.
	Total decimal.Decimal
	// Best is the value that answers min, max, first and last.
	Best Extreme
	// Counts holds how often each value occurs, for mode and unique.
	Counts map[string]int64
	// Dropped counts values that did not fit into Counts.
	Dropped int64
	// Replayed is the present answer of a leaf that is not foldable: it is not a
	// fold of events but what the reference evaluator last said. NextLook is when it
	// can change without new events; zero: never.
	Replayed query.Value
	NextLook time.Time
}

// Extreme is the one value that answers min, max, first or last, with the place
// in the history that first and last compare by.
type Extreme struct {
	Value   query.Value
	Time    time.Time
	Arrival int64
}

// Add folds one matching event in.
func (s *State) Add(l *query.Leaf, e *query.Event) {
	if l.Reducer.Op == query.OpCount {
		s.N++
		return
	}
	for _, v := range taken(l, e) {
		s.N++
		switch l.Reducer.Op {
		case query.OpSum, query.OpAvg:
			d, _ := v.Decimal()
			s.Total = s.Total.Add(d)
		case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
			x := Extreme{Value: v, Time: e.Time, Arrival: e.Arrival}
			if s.N == 1 || beats(l.Reducer, x, s.Best) {
				s.Best = x
			}
		case query.OpMode, query.OpUnique:
			s.count(v.AsText(), 1)
		case query.OpCount:
		}
	}
}

// Remove takes the state of a part of the history out that was in s before. It answers
// false when the state alone cannot tell the new answer (the minimum itself left): it
// must then be built anew from the events that remain.
func (s *State) Remove(l *query.Leaf, o State) bool {
	if o.N == 0 && o.Dropped == 0 {
		return true
	}
	known := s.Dropped == 0 && o.Dropped == 0
	s.N -= o.N
	s.Total = s.Total.Sub(o.Total)
	for v, n := range o.Counts {
		s.count(v, -n)
	}
	switch l.Reducer.Op {
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		known = known && beats(l.Reducer, s.Best, o.Best)
	case query.OpCount, query.OpSum, query.OpAvg, query.OpMode, query.OpUnique:
	}
	if s.N == 0 && s.Dropped == 0 && o.Dropped == 0 {
		*s = State{}
		return true
	}
	return known && s.N > 0
}

// Merge adds the state of another part of the history.
func (s *State) Merge(l *query.Leaf, o State) {
	switch {
	case o.N == 0 && o.Dropped == 0:
		return
	case s.N == 0:
		s.Best = o.Best
	case l.Reducer.Op == query.OpMin || l.Reducer.Op == query.OpMax || l.Reducer.Op == query.OpFirst || l.Reducer.Op == query.OpLast:
		if beats(l.Reducer, o.Best, s.Best) {
			s.Best = o.Best
		}
	}
	s.N += o.N
	s.Total = s.Total.Add(o.Total)
	s.Dropped += o.Dropped
	for v, n := range o.Counts {
		s.count(v, n)
	}
}

// Result is the leaf's value.
func (s *State) Result(l *query.Leaf) query.Value {
	if !l.Foldable && !s.Replayed.IsNull() {
		return s.Replayed
	}
	switch l.Reducer.Op {
	case query.OpCount:
		return query.Int(s.N)
	case query.OpSum:
		if s.N > 0 {
			return query.Number(s.Total)
		}
	case query.OpAvg:
		return query.Average(s.Total, s.N)
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		if s.N > 0 {
			return s.Best.Value
		}
	case query.OpMode:
		return s.mode(l.Reducer)
	case query.OpUnique:
		return s.unique()
	}
	return query.Null()
}

// taken is what the reducer takes from an event: of several values under a `$`
// path, first and last take the one at their end.
func taken(l *query.Leaf, e *query.Event) []query.Value {
	vs := l.Values(e)
	if len(vs) > 1 {
		switch l.Reducer.Op {
		case query.OpFirst:
			return vs[:1]
		case query.OpLast:
			return vs[len(vs)-1:]
		case query.OpCount, query.OpSum, query.OpAvg, query.OpMin, query.OpMax, query.OpMode, query.OpUnique:
		}
	}
	return vs
}

func (s *State) count(v string, n int64) {
	if s.Counts == nil {
		s.Counts = make(map[string]int64, 4)
	}
	have, ok := s.Counts[v]
	if !ok && len(s.Counts) >= MaxDistinct {
		s.Dropped += n
		return
	}
	if have+n == 0 {
		delete(s.Counts, v)
		return
	}
	s.Counts[v] = have + n
}

func (s *State) mode(r query.Reducer) query.Value {
	best, most := "", int64(0)
	for v, n := range s.Counts {
		if n > most || n == most && v < best {
			best, most = v, n
		}
	}
	if most == 0 || most < int64(r.AtLeast) {
		return query.Null()
	}
	if r.As == query.AsNumber {
		if d, ok := query.Text(best).Decimal(); ok {
			return query.Number(d)
		}
	}
	return query.Text(best)
}

func (s *State) unique() query.Value {
	if len(s.Counts) == 0 {
		return query.Null()
	}
	texts := make([]string, 0, len(s.Counts))
	for v := range s.Counts {
		texts = append(texts, v)
	}
	slices.Sort(texts)
	values := make([]query.Value, len(texts))
	for i, t := range texts {
		values[i] = query.Text(t)
	}
	return query.List(values)
}

// beats tells whether a answers the reducer rather than b.
func beats(r query.Reducer, a, b Extreme) bool {
	switch r.Op {
	case query.OpFirst:
		return earlier(a, b)
	case query.OpLast:
		return earlier(b, a)
	case query.OpMin:
		return less(r, a.Value, b.Value)
	case query.OpMax:
		return less(r, b.Value, a.Value)
	case query.OpCount, query.OpSum, query.OpAvg, query.OpMode, query.OpUnique:
	}
	return false
}

func earlier(a, b Extreme) bool {
	if !a.Time.Equal(b.Time) {
		return a.Time.Before(b.Time)
	}
	return a.Arrival < b.Arrival
}

func less(r query.Reducer, a, b query.Value) bool {
	if r.As == query.AsString {
		return a.AsText() < b.AsText()
	}
	x, _ := a.Decimal()
	y, _ := b.Decimal()
	return x.LessThan(y)
}
