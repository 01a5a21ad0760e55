package querytest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"muster/query"
)

// Definitions draws the text of a valid definition at the level of users.
func Definitions(purpose query.Purpose) *rapid.Generator[string] {
	if purpose == query.Trait {
		return Traits()
	}
	return Audiences()
}

// Audiences draws the text of a valid audience.
func Audiences() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return (&author{t: t, purpose: query.Audience}).condition(3, nil)
	})
}

// Traits draws the text of a valid computed trait.
func Traits() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		a := &author{t: t, purpose: query.Trait}
		if a.chance(8) {
			return a.trait()
		}
		chain := a.stream(2, nil) + a.reducer(true)
		if a.chance(8) {
			return "( " + chain + " )"
		}
		return chain
	})
}

// EventNames are the names of all events in definitions and histories.
var EventNames = []string{"Bought", "Seen", "Left"}

// author writes a text. Inside a where, parents are the events around it.
type author struct {
	t       *rapid.T
	purpose query.Purpose
	leaves  int
}

// maxLeaves keeps the number of comparisons below the limit.
const maxLeaves = 12

func (a *author) pick(options ...string) string { return rapid.SampledFrom(options).Draw(a.t, "word") }

// chance is true once in n times.
func (a *author) chance(n int) bool { return rapid.IntRange(1, n).Draw(a.t, "chance") == 1 }

func (a *author) condition(depth int, parents []string) string {
	a.leaves++
	if depth == 0 || a.leaves > maxLeaves {
		return a.comparison(0, parents)
	}
	switch rapid.IntRange(0, 7).Draw(a.t, "junction") {
	case 0:
		return a.condition(depth-1, parents) + a.pick(" AND ", " and ") + a.condition(depth-1, parents)
	case 1:
		return a.condition(depth-1, parents) + a.pick(" OR ", " or ") + a.condition(depth-1, parents)
	case 2:
		return "(" + a.condition(depth-1, parents) + " OR " + a.condition(depth-1, parents) + ") AND " + a.condition(depth-1, parents)
	case 3:
		return "NOT " + a.comparison(depth, parents)
	case 4:
		return "NOT (" + a.condition(depth-1, parents) + ")"
	}
	return a.comparison(depth, parents)
}

// comparison is one scalar and what it is compared with.
func (a *author) comparison(depth int, parents []string) string {
	if len(parents) > 0 && a.chance(2) {
		return a.compared(a.field(len(parents) > 1), parents)
	}
	if depth > 0 && len(parents) < query.MaxEventDepth && (len(parents) == 0 || a.leaves < maxLeaves) && !a.chance(4) {
		chain := a.stream(depth-1, parents)
		if a.chance(3) {
			return a.compared(chain+a.reducer(false), parents)
		}
		return chain + ".count()" + a.pick(" >= 1", " = 0", " > 1", " <= 2", ".at_least(2)", " != 1", " = 2", ".eq(1)")
	}
	return a.compared(a.trait(), parents)
}

func (a *author) compared(left string, parents []string) string {
	right := func() string { return a.operand(parents) }
	switch rapid.IntRange(0, 13).Draw(a.t, "relation") {
	case 0, 1:
		return left + a.pick(" = ", " == ", " != ") + right()
	case 2, 3:
		return left + a.pick(" > ", " >= ", " < ", " <= ") + right()
	case 4:
		return left + a.pick(".equals(", ".differs(", ".greater_than(", ".lte(", ".neq(") + right() + ")"
	case 5:
		return left + a.pick(".exists()", ".absent()", ".is_set()", ".is_null()")
	case 6:
		return left + a.pick(".contains(", ".one_of(", ".none_of(", ".contains_one(") + right() + ", " + right() + ")"
	case 7:
		return left + a.pick(".contains([", ".one_of([", ".none_of([") + right() + "])"
	case 8:
		return left + a.pick(".omits(", ".starts_with(", ".ends_with(") + right() + ")"
	case 9:
		return left + a.pick(".before_date(", ".after_date(") + a.pick("2026-03-20", "2026-03-25T06:00:00Z", "'2026-03-28'", right()) + ")"
	case 10, 11:
		return left + a.pick(".within_last(", ".within_next(", ".before_last(", ".after_next(") + a.duration() + ")"
	default:
		return "(" + left + ")" + a.pick(" = ", " >= ") + "(" + right() + ")"
	}
}

func (a *author) operand(parents []string) string {
	switch rapid.IntRange(0, 9).Draw(a.t, "operand") {
	case 0:
		return a.trait()
	case 1:
		if len(parents) > 0 {
			return a.field(len(parents) > 1)
		}
		return "event('" + a.pick(EventNames...) + "').count()"
	case 2:
		return a.pick("2026-03-20", "2026-03-25T06:00:00Z", "'2026-03-25T06:00:00Z'", "2026-03-25T08:00:00+02:00")
	case 3:
		return a.pick("true", "'true'", "'false'", "literal(true)")
	case 4, 5:
		return a.pick("'red'", `"blue"`, "'r'", "''", `'it\'s'`, `'"x"'`, "literal('red')", `'C:\dir'`)
	default:
		return a.pick("0", "1", "2", "2.5", "-1", "10", "1e1", "'2'", "'2.50'", "literal(2)", "0.1", "12345678901234567890.5")
	}
}

func (a *author) trait() string {
	return "trait(" + a.pick(`'amount'`, `'colour'`, `'seen_at'`, `'due'`, `'tags'`, `'tags.$'`, `'address.city'`,
		`'member'`, `'a\.b'`, `"missing"`, `'deals.$.at'`) + ")"
}

// fieldNames are the paths at which random events have something, or nothing.
var fieldNames = []string{"amount", "amount", "colour", "at", "paid", "items.$.id", "items.$.qty", "items.$", "items", "shop.city", `a\\.b`, "missing"}

func (a *author) field(parent bool) string {
	if a.chance(6) {
		return a.pick("context('page.url')", "context('ip')")
	}
	name := "'" + a.pick(fieldNames...) + "'"
	if parent && a.chance(3) {
		return "property(parent: " + name + ")"
	}
	return "property(" + name + ")"
}

// stream is an event with filters in any order.
func (a *author) stream(depth int, parents []string) string {
	event := a.pick(EventNames...)
	var b strings.Builder
	fmt.Fprintf(&b, "event('%s')", event)
	inside := append(append([]string(nil), parents...), event)
	for range rapid.SampledFrom([]int{0, 1, 1, 1, 2, 2, 3}).Draw(a.t, "filters") {
		switch rapid.IntRange(0, 8).Draw(a.t, "filter") {
		case 0, 1, 2:
			a.leaves++
			if a.leaves <= maxLeaves {
				fmt.Fprintf(&b, "\n  .where( %s )", a.condition(min(depth, 1+len(parents)%2), inside))
			}
		case 3, 4:
			fmt.Fprintf(&b, ".within(%s)", a.duration())
		case 5:
			fmt.Fprintf(&b, ".between(%s, %s)", a.pick("0 days", a.duration()), a.duration())
		case 6:
			b.WriteString(a.pick(".sources({exclude: 'ios'})", ".sources(exclude: ['web', 'ios'])", ".sources({exclude: 'web', 'job'})"))
		case 7:
			if len(parents) > 0 {
				fmt.Fprintf(&b, ".%s", a.pick("within(parent: "+a.duration()+")", "between(parent: 0 hours, "+a.duration()+")",
					"between(parent: "+a.duration()+", "+a.duration()+")"))
			}
		case 8:
			if a.purpose == query.Trait {
				fmt.Fprintf(&b, ".expires_after(%s)", a.duration())
			}
		}
	}
	return b.String()
}

func (a *author) reducer(list bool) string {
	f := a.field(false)
	switch rapid.IntRange(0, 12).Draw(a.t, "reducer") {
	case 0, 1:
		return ".count()"
	case 2:
		return ".sum(" + f + ")"
	case 3:
		return ".avg(" + f + ")"
	case 4:
		return ".min(" + f + a.pick("", " as number", " as string") + ")"
	case 5:
		return ".max(" + f + a.pick("", " as number", " as string") + ")"
	case 6:
		return ".first(" + f + ")"
	case 7:
		return ".last(" + f + ")"
	case 8, 9:
		return ".mode(" + f + a.pick("", " as number", " as string", " as array") + a.pick("", ", 1", ", 2", ", 3") + ")"
	case 10, 11:
		if list {
			return ".unique(" + f + ")"
		}
	}
	return ".unique(" + f + ").count()"
}

func (a *author) duration() string {
	return a.pick("1 hour", "6 hours", "90 minutes", "1 day", "24 hours", "2 days", "5 days", "1 week", "3600 seconds")
}
