package engine

import (
	"time"

	"github.com/shopspring/decimal"

	"muster/query"
)

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
	// Counts holds how often each value occurs, for mode and unique: of more than
	// MaxDistinct different ones, the alphabetically first.
	Counts map[string]int64
	// Dropped is how often the others occur together.
	Dropped int64
	largest string // of Counts, "" if not known
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
	if o.N == 0 {
		return true
	}
	s.N -= o.N
	if s.N == 0 {
		*s = State{}
		return true
	}
	switch l.Reducer.Op {
	case query.OpSum, query.OpAvg:
		s.Total = s.Total.Sub(o.Total)
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		return s.N > 0 && beats(l.Reducer, s.Best, o.Best)
	case query.OpMode, query.OpUnique:
		return s.N > 0 && s.uncount(o)
	case query.OpCount:
	}
	return s.N > 0
}

// Merge adds the state of another part of the history.
func (s *State) Merge(l *query.Leaf, o State) {
	if o.N == 0 {
		return
	}
	switch l.Reducer.Op {
	case query.OpSum, query.OpAvg:
		s.Total = s.Total.Add(o.Total)
	case query.OpMin, query.OpMax, query.OpFirst, query.OpLast:
		if s.N == 0 || beats(l.Reducer, o.Best, s.Best) {
			s.Best = o.Best
		}
	case query.OpMode, query.OpUnique:
		for v, n := range o.Counts {
			s.count(v, n)
		}
		s.Dropped += o.Dropped
	case query.OpCount:
	}
	s.N += o.N
}

// Result is the leaf's value.
func (s *State) Result(l *query.Leaf) query.Value {
	if !s.Replayed.IsNull() {
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
