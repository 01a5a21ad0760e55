package query

import (
	"strings"
	"time"
)

// relation is a comparison of one scalar with its arguments.
type relation string

const (
	equals      relation = "equals"
	differs     relation = "differs"
	greaterThan relation = "greater_than"
	atLeast     relation = "at_least"
	lessThan    relation = "less_than"
	atMost      relation = "at_most"
	absent      relation = "absent"
	exists      relation = "exists"
	contains    relation = "contains"
	omits       relation = "omits"
	startsWith  relation = "starts_with"
	endsWith    relation = "ends_with"
	oneOf       relation = "one_of"
	noneOf      relation = "none_of"
	beforeDate  relation = "before_date"
	afterDate   relation = "after_date"
	withinLast  relation = "within_last"
	withinNext  relation = "within_next"
	beforeLast  relation = "before_last"
	afterNext   relation = "after_next"
)

// relative says whether the relation is to the present instant.
func (r relation) relative() bool {
	switch r {
	case withinLast, withinNext, beforeLast, afterNext:
		return true
	case equals, differs, greaterThan, atLeast, lessThan, atMost, absent, exists, contains, omits,
		startsWith, endsWith, oneOf, noneOf, beforeDate, afterDate:
	}
	return false
}

// comparand is one value on the right, with what only its literal form tells.
type comparand struct {
	Value
	timeLiteral bool // a bare date or timestamp: equality then compares instants
}

// relates says whether one value on the left stands in the relation to the values
// on the right. All of them exist: nulls are dealt with before.
func relates(l Value, r relation, rights []comparand) bool {
	if r == noneOf {
		for _, right := range rights {
			if same(l, right) {
				return false
			}
		}
		return true
	}
	for _, right := range rights {
		if relatesTo(l, r, right) {
			return true
		}
	}
	return false
}

func relatesTo(l Value, r relation, right comparand) bool {
	switch r {
	case equals, oneOf:
		return same(l, right)
	case differs:
		return !same(l, right)
	case greaterThan, atLeast, lessThan, atMost:
		c, ok := ordered(l, right.Value)
		switch {
		case !ok:
			return false
		case r == greaterThan:
			return c > 0
		case r == atLeast:
			return c >= 0
		case r == lessThan:
			return c < 0
		}
		return c <= 0
	case contains:
		return strings.Contains(l.AsText(), right.AsText())
	case startsWith:
		return strings.HasPrefix(l.AsText(), right.AsText())
	case endsWith:
		return strings.HasSuffix(l.AsText(), right.AsText())
	case beforeDate, afterDate:
		a, _, ok1 := l.instant()
		b, _, ok2 := right.instant()
		if r == beforeDate {
			return ok1 && ok2 && a.Before(b)
		}
		return ok1 && ok2 && a.After(b)
	case absent, exists, omits, noneOf, withinLast, withinNext, beforeLast, afterNext:
	}
	panic("query: " + string(r) + " does not compare two values")
}

// same is equality: as numbers if either side is one, else as instants if the
// right is a time literal, else as text.
func same(l Value, right comparand) bool {
	if l.kind == KindNumber || right.kind == KindNumber {
		a, ok1 := l.number()
		b, ok2 := right.number()
		return ok1 && ok2 && a.compare(b) == 0
	}
	if right.timeLiteral {
		a, _, ok1 := l.instant()
		b, _, ok2 := right.instant()
		return ok1 && ok2 && a.Equal(b)
	}
	return l.AsText() == right.AsText()
}

// ordered compares two numbers or two times. Other text has no order.
func ordered(l, r Value) (int, bool) {
	if a, ok := l.number(); ok {
		if b, ok := r.number(); ok {
			return a.compare(b), true
		}
		return 0, false
	}
	a, _, ok1 := l.instant()
	b, _, ok2 := r.instant()
	return a.Compare(b), ok1 && ok2
}

// span is a stretch of instants; a zero end is open. A condition that the clock
// changes is true during its span: from included, until excluded.
type span struct{ from, until time.Time }

func (s span) holds(at time.Time) bool {
	return (s.from.IsZero() || !at.Before(s.from)) && (s.until.IsZero() || at.Before(s.until))
}

// tick is the resolution of time: the first instant after t is t + tick.
const tick = time.Nanosecond

// relativeSpan is when l stands in the relation: for a date alone, in days, by the
// calendar of UTC, else by instants.
func relativeSpan(l Value, r relation, d duration) (span, bool) {
	t, dateOnly, ok := l.instant()
	if !ok {
		return span{}, false
	}
	after := tick // from the last instant of a span to the first after it
	if dateOnly && d.calendar {
		after = day
	}
	switch r {
	case withinLast: // t <= now <= t+d
		return span{t, t.Add(d.length + after)}, true
	case withinNext: // t-d <= now <= t
		return span{t.Add(-d.length), t.Add(after)}, true
	case beforeLast: // t+d <= now
		return span{from: t.Add(d.length)}, true
	default: // afterNext: now <= t-d
		return span{until: t.Add(after - d.length)}, true
	}
}

// during is the span in which an event at t is inside the window.
func (w Window) during(t time.Time) span { return span{t.Add(w.Near), t.Add(w.Far + tick)} }
