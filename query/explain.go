package query

import (
	"fmt"
	"strings"
	"time"
)

// Explanation says how one part of a definition got its value.
type Explanation struct {
	// Text is the part as printed.
	Text  string `json:"text"`
	Value Value  `json:"value"`
	// Compared are the values found on the left of a comparison, With those on its
	// right; null left out.
	Compared []Value `json:"compared,omitempty"`
	With     []Value `json:"with,omitempty"`
	// Events are the latest of the events that an event chain kept, and EventCount
	// is how many it kept.
	Events     []*Event `json:"events,omitempty"`
	EventCount int      `json:"event_count,omitempty"`
	// Note is a remark for people, such as that a follow-up window is still open.
	Note string `json:"note,omitempty"`
	// NextChange is when the part can change its value without new events; zero if
	// never.
	NextChange time.Time      `json:"next_change,omitzero"`
	Children   []*Explanation `json:"children,omitempty"`
}

const (
	// maxShownEvents bounds an explanation of a long history.
	maxShownEvents = 5
	// maxShownProperties is how many characters of an event's properties a person is shown:
	// the list of a large basket would hide the tree.
	maxShownProperties = 160
)

// Past is what a value is computed from where its leaves look at histories of their own:
// one keeps a window as of the last slot, another counts what has just come.
type Past interface {
	// Trait is the value of a top-level trait key, null if there is none.
	Trait(key string) Value
	// History is what the leaf looks at, and the instant that it is taken as of.
	History(l *Leaf) (Profile, time.Time)
}

// Explain says how the value came about: the tree of conditions, each with its
// value, what was compared, the events that mattered, and when it can change.
func (d *Definition) Explain(p Profile, asOf time.Time) *Explanation {
	return d.ExplainWith(whole{p, asOf}, asOf)
}

// ExplainWith is [Definition.Explain] where each leaf has a past of its own.
func (d *Definition) ExplainWith(past Past, asOf time.Time) *Explanation {
	e := &explainer{Past: past, asOf: asOf, pasts: make(map[*Leaf]leafPast)}
	s := e.at(asOf)
	var x *Explanation
	if d.condition != nil {
		x = e.condition(d.condition, s)
	} else {
		x = e.scalar(d.scalar, s)
	}
	x.NextChange, _ = e.nextChange(d)
	return x
}

// whole is a profile that all leaves look at, as of one instant.
type whole struct {
	Profile
	asOf time.Time
}

func (w whole) Trait(key string) Value             { return w.Traits[key] }
func (w whole) History(*Leaf) (Profile, time.Time) { return w.Profile, w.asOf }

// explainer goes through a definition.
type explainer struct {
	Past
	asOf  time.Time
	pasts map[*Leaf]leafPast // those that were asked for
}

type leafPast struct {
	traits map[string]Value
	events *past
	asOf   time.Time
}

// at is where the definition's own expressions are evaluated as of an instant.
func (e *explainer) at(asOf time.Time) scope {
	return scope{surroundings: &surroundings{asOf: asOf, in: retold{e, asOf}}}
}

// leaf is where the leaf's expressions are evaluated as of an instant; as of the
// explainer's own, the leaf may have another one.
func (e *explainer) leaf(l *Leaf, asOf time.Time) scope {
	p, known := e.pasts[l]
	if !known {
		profile, its := e.History(l)
		p = leafPast{profile.Traits, newPast(profile.Events), its}
		e.pasts[l] = p
	}
	if asOf.Equal(e.asOf) {
		asOf = p.asOf
	}
	at := &surroundings{asOf: asOf, past: p.events}
	at.in = reading{p.traits, at}
	return scope{surroundings: at}
}

// retold are the values of an explainer's past as of an instant.
type retold struct {
	*explainer
	asOf time.Time
}

func (r retold) Leaf(l *Leaf) Value { return l.reduce(l.stream.events(r.leaf(l, r.asOf))) }

func (e *explainer) nextChange(d *Definition) (time.Time, bool) {
	i := instants{after: e.asOf}
	for _, l := range d.Leaves {
		l.candidates(&i, e.leaf(l, e.asOf))
	}
	s := e.at(e.asOf)
	for _, c := range d.relatives {
		i.relative(c, c.left.values(nil, s))
	}
	return i.first(func(t time.Time) Value { return d.in(e.at(t)) })
}

func (e *explainer) condition(c condition, s scope) *Explanation {
	x := &Explanation{Text: printed(c), Value: Bool(c.holds(s))}
	switch c := c.(type) {
	case allOf:
		for _, item := range c {
			x.Children = append(x.Children, e.condition(item, s))
		}
	case anyOf:
		for _, item := range c {
			x.Children = append(x.Children, e.condition(item, s))
		}
	case negation:
		x.Children = []*Explanation{e.condition(c.of, s)}
	case *comparison:
		e.comparison(x, c, s)
	case quantifier: // about other profiles than this one
	}
	return x
}

func (e *explainer) comparison(x *Explanation, c *comparison, s scope) {
	x.Compared = c.left.values(nil, s)
	for _, right := range c.rights(nil, s) {
		x.With = append(x.With, right.Value)
	}
	for _, part := range append([]scalar{c.left}, c.args...) {
		switch part.(type) {
		case *leafValue, listLength:
			x.Children = append(x.Children, e.scalar(part, s))
		}
	}
	if c.is.relative() {
		i := instants{after: e.asOf}
		i.relative(c, x.Compared)
		x.NextChange, _ = i.first(func(t time.Time) Value { return Bool(c.holds(e.at(t))) })
	}
	if len(x.Compared) == 0 && c.is != absent && c.is != exists {
		x.Note = "there is no value to compare"
	}
}

func (e *explainer) scalar(v scalar, s scope) *Explanation {
	switch v := v.(type) {
	case *leafValue:
		return e.explainLeaf(v.leaf)
	case listLength:
		x := e.explainLeaf(v.of.leaf)
		x.Text, x.Value = printed(v), v.value(s)
		return x
	}
	return &Explanation{Text: printed(v), Value: v.value(s)}
}

func (e *explainer) explainLeaf(l *Leaf) *Explanation {
	s := e.leaf(l, e.asOf)
	events := l.stream.events(s)
	x := &Explanation{Text: l.Text, Value: l.reduce(events), EventCount: len(events)}
	x.Events = events[max(0, len(events)-maxShownEvents):]
	x.Note = l.openFollowUps(events, s.asOf)
	i := instants{after: s.asOf}
	l.candidates(&i, s)
	x.NextChange, _ = i.first(func(t time.Time) Value {
		s := e.leaf(l, t)
		s.asOf = t
		return l.reduce(l.stream.events(s))
	})
	return x
}

// openFollowUps says which events may still be followed by what the leaf waits for.
func (l *Leaf) openFollowUps(events []*Event, asOf time.Time) string {
	open, last := 0, time.Time{}
	for _, e := range events {
		until := time.Time{}
		for _, inner := range l.inner {
			if inner.outer != l.stream {
				continue
			}
			for _, g := range inner.stages {
				if g.follow != nil && e.Time.Add(g.follow.Far).After(until) {
					until = e.Time.Add(g.follow.Far)
				}
			}
		}
		if until.After(asOf) {
			open++
			if until.After(last) {
				last = until
			}
		}
	}
	if open == 0 {
		return ""
	}
	return fmt.Sprintf("follow-up window still open for %d of %d events, the last until %s", open, len(events), formatInstant(last))
}

// Render is the explanation as an indented text for people. Long properties are cut.
func (x *Explanation) Render() string {
	var b strings.Builder
	x.render(&b, "")
	return b.String()
}

func (x *Explanation) render(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s%s  <-  %s\n", indent, x.Value, x.Text)
	indent += "    "
	if len(x.Compared) > 0 {
		fmt.Fprintf(b, "%scompared: %s", indent, listed(x.Compared))
		if len(x.With) > 0 {
			fmt.Fprintf(b, " with %s", listed(x.With))
		}
		b.WriteByte('\n')
	}
	if x.Note != "" {
		fmt.Fprintf(b, "%snote: %s\n", indent, x.Note)
	}
	if !x.NextChange.IsZero() {
		fmt.Fprintf(b, "%scan change at %s\n", indent, formatInstant(x.NextChange))
	}
	for _, e := range x.Events {
		fmt.Fprintf(b, "%s%s %s %s\n", indent, formatInstant(e.Time), e.Name, clipped(string(e.Properties), maxShownProperties))
	}
	if hidden := x.EventCount - len(x.Events); hidden > 0 {
		fmt.Fprintf(b, "%sand %d earlier events\n", indent, hidden)
	}
	for _, child := range x.Children {
		child.render(b, indent)
	}
}

func listed(vs []Value) string {
	texts := make([]string, len(vs))
	for i, v := range vs {
		texts[i] = v.String()
	}
	return strings.Join(texts, ", ")
}
