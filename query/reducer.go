package query

import (
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// Op is what a reducer does with the events that are left.
type Op string

// The reducers.
const (
	OpCount  Op = "count"
	OpSum    Op = "sum"
	OpAvg    Op = "avg"
	OpMin    Op = "min"
	OpMax    Op = "max"
	OpFirst  Op = "first"
	OpLast   Op = "last"
	OpMode   Op = "mode"
	OpUnique Op = "unique"
)

// Cast is how a reducer reads its values.
type Cast string

// The casts. Min and max read numbers unless told otherwise, mode text.
const (
	AsNone   Cast = ""
	AsNumber Cast = "number"
	AsString Cast = "string"
	AsArray  Cast = "array" // mode only: whole arrays, as their JSON text
)

const (
	// DefaultModeMinimum is how often mode must see a value when the definition does not say.
	DefaultModeMinimum = 2
	// MaxUnique is how many different values mode and unique look at: the alphabetically
	// first ones.
	MaxUnique = 10_000
)

// Reducer turns the events that are left into one value.
type Reducer struct {
	Op Op
	// Field is the canonical text of what is reduced, such as property('price');
	// empty for count.
	Field string
	As    Cast // never AsNone for min, max and mode
	// AtLeast is how often mode must see a value; 0 for every other reducer.
	AtLeast int

	field *field
}

// takes appends what the reducer takes from an event.
func (r *Reducer) takes(dst []Value, e *Event) []Value {
	if r.field == nil {
		return dst
	}
	s := scope{event: e}
	from := len(dst)
	switch {
	case r.As == AsArray && r.field.several:
		return r.wholeArrays(dst, s)
	case r.field.several:
		dst = r.field.values(dst, s)
	default:
		if v := r.field.value(s); !v.IsNull() {
			dst = append(dst, v)
		}
	}
	kept := dst[:from]
	for _, v := range dst[from:] {
		if v, ok := r.reads(v); ok {
			kept = append(kept, v)
		}
	}
	return kept
}

// reads is the form in which the reducer works with a value.
func (r *Reducer) reads(v Value) (Value, bool) {
	switch r.Op {
	case OpFirst, OpLast, OpCount:
		return v, true
	case OpSum, OpAvg:
		return asNumber(v)
	case OpUnique:
		return Text(v.AsText()), true
	case OpMin, OpMax, OpMode:
		if r.As == AsNumber {
			return asNumber(v)
		}
	}
	return Text(v.AsText()), true
}

func asNumber(v Value) (Value, bool) {
	n, ok := v.number()
	return numeric(n), ok
}

// wholeArrays appends the JSON text of each array that the path walks last. If it
// walks further below the elements, what it finds there is taken as one array.
func (r *Reducer) wholeArrays(dst []Value, s scope) []Value {
	at := r.field.at
	if at[len(at)-1] == each {
		arrays := field{context: r.field.context, at: at[:len(at)-1]}
		for _, v := range arrays.values(nil, s) {
			dst = append(dst, Text(v.AsText()))
		}
		return dst
	}
	if found := r.field.values(nil, s); len(found) > 0 {
		dst = append(dst, Text(List(found).AsText()))
	}
	return dst
}

// reduce is the value of the events that are left, in order of time and arrival.
func (l *Leaf) reduce(events []*Event) Value {
	r := &l.Reducer
	if r.Op == OpCount {
		return Int(int64(len(events)))
	}
	var vs []Value
	for _, e := range events {
		vs = r.takes(vs, e)
	}
	if len(vs) == 0 {
		return Null()
	}
	switch r.Op {
	case OpSum:
		return Number(total(vs))
	case OpAvg:
		return Average(total(vs), int64(len(vs)))
	case OpMin:
		return slices.MinFunc(vs, byValue)
	case OpMax:
		return slices.MaxFunc(vs, byValue)
	case OpFirst:
		return vs[0]
	case OpLast:
		return vs[len(vs)-1]
	case OpMode:
		return mostFrequent(vs, r.AtLeast)
	case OpUnique:
		slices.SortFunc(vs, byText)
		vs = slices.CompactFunc(vs, func(a, b Value) bool { return a.text == b.text })
		return List(vs[:min(len(vs), MaxUnique)])
	case OpCount:
	}
	panic("query: unknown reducer " + string(r.Op))
}

func total(vs []Value) decimal.Decimal {
	var sum decimal.Decimal
	for _, v := range vs {
		n, _ := v.number()
		sum = sum.Add(n.decimal())
	}
	return sum
}

// byValue orders numbers by size and texts by code point.
func byValue(a, b Value) int {
	if a.kind == KindNumber {
		x, _ := a.number()
		y, _ := b.number()
		return x.compare(y)
	}
	return byText(a, b)
}

func byText(a, b Value) int { return strings.Compare(a.AsText(), b.AsText()) }

// mostFrequent is the value that occurs most, at least k times; of several the
// alphabetically first. It looks at the first MaxUnique different values.
func mostFrequent(vs []Value, k int) Value {
	slices.SortStableFunc(vs, byText)
	best, most := Null(), k-1
	for start, seen := 0, 0; start < len(vs) && seen < MaxUnique; seen++ {
		end := start
		for end < len(vs) && byText(vs[start], vs[end]) == 0 {
			end++
		}
		if end-start > most {
			best, most = vs[start], end-start
		}
		start = end
	}
	return best
}
