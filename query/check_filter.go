package query

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// filter adds a filter to an event chain.
func (c *checker) filter(d *draft, name string, call callSyntax, at place) {
	last := &d.stream.stages[len(d.stream.stages)-1]
	if last.session > 0 { // filters after a session see only what is in it
		d.stream.stages = append(d.stream.stages, stage{})
		last = &d.stream.stages[len(d.stream.stages)-1]
	}
	switch name {
	case "where":
		c.where(d, last, call, at)
	case "sources":
		c.sources(last, call)
	case "within", "between":
		c.window(last, name, call, at)
	case "expires_after":
		c.session(d, last, call)
	}
}

func (c *checker) where(d *draft, g *stage, call callSyntax, at place) {
	a, ok := c.one(call, "a condition")
	if !ok {
		return
	}
	if a.label.kind != tokenEnd {
		c.mislabelled(a, call)
		return
	}
	inside := place{events: at.events + 1, quantified: at.quantified, around: d}
	b, ok := c.boolean(c.check(a.value, inside), "where")
	switch b := b.(type) {
	case allOf:
		g.where = append(g.where, b...)
	default:
		if ok {
			g.where = append(g.where, b)
		}
	}
}

func (c *checker) sources(g *stage, call callSyntax) {
	if len(call.args) == 0 || call.args[0].label.text != "exclude" {
		c.errorf(call.name.offset, CodeBadArgument, "write sources({exclude: 'source-id'})", "sources takes exclude: and the ids of sources")
		return
	}
	for i, a := range call.args {
		if i > 0 && a.label.kind != tokenEnd {
			c.mislabelled(a, call)
			return
		}
		items := []expression{a.value}
		if l, ok := a.value.(listSyntax); ok {
			items = l.items
		}
		for _, item := range items {
			id, ok := c.quotedText(argumentSyntax{value: item}, "a source id in quotes", call)
			if !ok {
				return
			}
			g.excluded = addOnce(g.excluded, id)
			c.result.NotSources = addOnce(c.result.NotSources, id)
		}
	}
	slices.Sort(g.excluded)
}

func (c *checker) window(g *stage, name string, call callSyntax, at place) {
	wanted := 1
	if name == "between" {
		wanted = 2
	}
	if len(call.args) != wanted {
		example := "within(7 days)"
		if wanted == 2 {
			example = "between(7 days, 10 days)"
		}
		c.errorf(call.end, CodeBadDuration, "write "+example, "%s takes %s", name, plural(wanted, "duration"))
		return
	}
	parent := call.args[0].label
	if parent.kind != tokenEnd && parent.text != "parent" {
		c.mislabelled(call.args[0], call)
		return
	}
	var w Window
	for i, a := range call.args {
		if i > 0 && a.label.kind != tokenEnd {
			c.mislabelled(a, call)
			return
		}
		length, ok := c.duration(a, name == "between")
		if !ok {
			return
		}
		if i == 0 {
			w = Window{length.length, length.length}
		} else {
			w = Window{min(w.Near, length.length), max(w.Far, length.length)}
		}
	}
	if name == "within" {
		w.Near = 0
	}
	if w.Far == 0 {
		c.errorf(call.args[0].value.start(), CodeBadDuration, "", "the far edge has to be longer than 0")
		return
	}
	if parent.kind != tokenEnd {
		if at.events == 0 {
			c.errorf(parent.offset, CodeScopeParent, "write "+name+"(7 days) to look back from now",
				"%s(parent:) needs an event around it: this one is not inside a where", name)
			return
		}
		g.follow = intersection(g.follow, w)
		c.emptyWarning(g.follow, call)
		return
	}
	g.window = intersection(g.window, w)
	c.emptyWarning(g.window, call)
}

func (c *checker) emptyWarning(w *Window, call callSyntax) {
	if w.empty() {
		c.warnf(call.name.offset, CodeNeverTrue, "", "the windows exclude each other: no event is in both")
	}
}

func intersection(have *Window, w Window) *Window {
	if have != nil {
		w = have.intersect(w)
	}
	return &w
}

func (c *checker) session(d *draft, g *stage, call callSyntax) {
	a, ok := c.one(call, "a duration")
	if !ok {
		return
	}
	if a.label.kind != tokenEnd {
		c.mislabelled(a, call)
		return
	}
	if c.opts.Purpose == Audience {
		c.errorf(call.name.offset, CodeSessionInAudience, "define a computed trait with it, and compare that trait",
			"expires_after is for computed traits only")
	}
	gap, ok := c.duration(a, false)
	switch {
	case !ok:
	case gap.length < MinSession, gap.length > MaxSession:
		c.errorf(a.value.start(), CodeBadDuration, "", "a session expires after 30 minutes to 90 days")
	default:
		g.session = gap.length
		d.notes.session = true
		c.result.Session = true
	}
}

// duration reads a number and a unit.
func (c *checker) duration(a argumentSyntax, zeroAllowed bool) (duration, bool) {
	offset := a.value.start()
	var none duration
	x, ok := a.value.(durationSyntax)
	if !ok {
		hint := "write a number and a unit, such as 7 days"
		if l, isLiteral := a.value.(literalSyntax); isLiteral && l.token.kind == tokenString {
			hint = "write it without quotes, such as 7 days"
		}
		if _, bad := a.value.(badSyntax); !bad {
			c.errorf(offset, CodeBadDuration, hint, "a duration is expected")
		}
		return none, false
	}
	if a.cast.kind != tokenEnd {
		c.errorf(a.cast.offset, CodeBadTypeCast, "remove it", "a duration takes no `as`")
		return none, false
	}
	n, err := strconv.ParseInt(x.amount.text, 10, 64)
	unit, known := unitOf(x.unit.text)
	switch {
	case !known:
		c.errorf(x.unit.offset, CodeBadDuration, unitHint(n, x.unit.text), "`%s` is not a unit of time", shorten(x.unit.text))
	case x.amount.kind != tokenNumber || err != nil && !strings.ContainsAny(x.amount.text, ".eE"):
		c.errorf(offset, CodeBadDuration, "", "the duration is too long: at most 3650 days")
	case err != nil:
		c.errorf(offset, CodeBadDuration, "use a smaller unit", "a duration is a whole number of units")
	case n < 0:
		c.errorf(offset, CodeBadDuration, "write it without the minus sign", "a duration cannot be negative")
	case n == 0 && !zeroAllowed:
		c.errorf(offset, CodeBadDuration, "", "a duration cannot be 0")
	case n > int64(MaxDuration/unit):
		c.errorf(offset, CodeBadDuration, "", "the duration is too long: at most 3650 days")
	default:
		return duration{length: time.Duration(n) * unit, calendar: unit%day == 0}, true
	}
	return none, false
}

func unitHint(n int64, unit string) string {
	inDays := func(days int64) string {
		if n <= 0 || n > 3650 {
			return "use days"
		}
		return "use days: " + formatDuration(time.Duration(n*days)*day)
	}
	switch strings.ToLower(strings.TrimSuffix(unit, "s")) {
	case "month", "mon", "mo":
		return inDays(30)
	case "year", "yr", "y":
		return inDays(365)
	case "d", "day":
		return "did you mean `days`?"
	case "h", "hr", "hour":
		return "did you mean `hours`?"
	case "m", "min", "minute":
		return "did you mean `minutes`?"
	case "", "sec", "second": // "s" without its s
		return "did you mean `seconds`?"
	case "w", "wk", "week":
		return "did you mean `weeks`?"
	}
	for _, u := range units {
		if distance(strings.ToLower(unit), u.name+"s", 3) < 3 {
			return "did you mean `" + u.name + "s`?"
		}
	}
	return "use seconds, minutes, hours, days or weeks"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
