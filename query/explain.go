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

// maxShownEvents bounds an explanation of a long history.
const maxShownEvents = 5

// Explain says how the value came about: the tree of conditions, each with its
// value, what was compared, the events that mattered, and when it can change.
func (d *Definition) Explain(p Profile, asOf time.Time) *Explanation {
	s := read(p, asOf)
	var x *Explanation
	if d.condition != nil {
		x = explainCondition(d.condition, p, s)
	} else {
		x = explainScalar(d.scalar, p, s)
	}
	if t, ok := d.NextChange(p, asOf); ok {
		x.NextChange = t
	} else {
		x.NextChange = time.Time{}
	}
	return x
}

func explainCondition(c condition, p Profile, s scope) *Explanation {
	x := &Explanation{Text: printed(c), Value: Bool(c.holds(s))}
	switch c := c.(type) {
	case allOf:
		for _, item := range c {
			x.Children = append(x.Children, explainCondition(item, p, s))
		}
	case anyOf:
		for _, item := range c {
			x.Children = append(x.Children, explainCondition(item, p, s))
		}
	case negation:
		x.Children = []*Explanation{explainCondition(c.of, p, s)}
	case *comparison:
		c.explain(x, p, s)
	case quantifier: // about other profiles than this one
	}
	return x
}

func (c *comparison) explain(x *Explanation, p Profile, s scope) {
	x.Compared = c.left.values(nil, s)
	for _, right := range c.rights(nil, s) {
		x.With = append(x.With, right.Value)
	}
	for _, part := range append([]scalar{c.left}, c.args...) {
		switch part.(type) {
		case *leafValue, listLength:
			x.Children = append(x.Children, explainScalar(part, p, s))
		}
	}
	if c.is.relative() {
		i := instants{after: s.asOf}
		for _, v := range x.Compared {
			if during, ok := relativeSpan(v, c.is, c.clock); ok {
				i.add(during)
			}
		}
		if t, ok := i.first(func(t time.Time) Value { return Bool(c.holds(s.at(t))) }); ok {
			x.NextChange = t
		}
	}
	if len(x.Compared) == 0 && c.is != absent && c.is != exists {
		x.Note = "there is no value to compare"
	}
}

func explainScalar(v scalar, p Profile, s scope) *Explanation {
	switch v := v.(type) {
	case *leafValue:
		return v.leaf.explain(p, s)
	case listLength:
		x := v.of.leaf.explain(p, s)
		x.Text, x.Value = printed(v), v.value(s)
		return x
	}
	return &Explanation{Text: printed(v), Value: v.value(s)}
}

func (l *Leaf) explain(p Profile, s scope) *Explanation {
	events := l.stream.events(scope{surroundings: s.surroundings})
	x := &Explanation{Text: l.Text, Value: l.reduce(events), EventCount: len(events)}
	x.Events = events[max(0, len(events)-maxShownEvents):]
	x.Note = l.openFollowUps(events, s.asOf)
	if t, ok := l.NextChange(p, s.asOf); ok {
		x.NextChange = t
	}
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

// Render is the explanation as an indented text for people.
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
		fmt.Fprintf(b, "%s%s %s %s\n", indent, formatInstant(e.Time), e.Name, e.Properties)
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
