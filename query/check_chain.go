package query

import "strings"

// chain gives a chain of calls its meaning, from left to right.
func (c *checker) chain(x chainSyntax, at place) term {
	var t term
	calls := x.calls
	if x.head != nil {
		t = c.check(x.head, at)
	} else {
		t = c.extractor(calls[0], at)
		calls = calls[1:]
	}
	for _, call := range calls {
		if t.form == formBad {
			// The rest is still looked at, for what is wrong whatever stands before it.
			c.method(call)
			continue
		}
		t = c.follow(t, call, at)
	}
	return t
}

// method is the canonical name and the role of a call after a dot.
func (c *checker) method(call callSyntax) (string, role, bool) {
	name := call.name.text
	if current, ok := aliases[name]; ok {
		name = current
	}
	r, ok := functions[name]
	if !ok {
		c.unknown(call.name, roleFilter, roleReducer, roleComparison)
		return name, r, false
	}
	return name, r, true
}

func (c *checker) unknown(name token, roles ...role) {
	if c.full() {
		return
	}
	hint := ""
	if s := suggest(name.text, roles...); s != "" {
		hint = "did you mean `" + s + "`?"
	}
	c.errorf(name.offset, CodeUnknownFunction, hint, "there is no function `%s`", shorten(name.text))
}

func bad(offset int) term { return term{form: formBad, offset: offset} }

// extractor is the first call of a chain.
func (c *checker) extractor(call callSyntax, at place) term {
	offset := call.name.offset
	name := call.name.text
	switch name {
	case "event":
		return c.event(call, at)
	case "trait":
		p, ok := c.pathArgument(call, false)
		if !ok {
			return bad(offset)
		}
		c.readsTrait(p[0], offset, at)
		return term{form: formScalar, offset: offset, scalar: &traitValue{at: p, several: p.many()}}
	case "property", "context":
		return c.fieldExtractor(call, at)
	case "literal":
		if a, ok := c.one(call, "a constant"); ok {
			if l, ok := a.value.(literalSyntax); ok {
				return term{form: formLiteral, offset: offset, scalar: literalOf(l.token)}
			}
			c.errorf(a.value.start(), CodeBadArgument, "", "literal takes a number, a text, a date or a time")
		}
		return bad(offset)
	case "entity":
		c.errorf(offset, CodeEntityUnsupported, "", "entity() reads linked warehouse rows, which Muster does not have")
		return bad(offset)
	}
	if _, known := functions[name]; known || aliases[name] != "" {
		c.errorf(offset, CodeBadChain, "start with event('…') or trait('…'), then ."+name+"(…)",
			"%s follows something with a dot; it cannot stand first", name)
	} else {
		c.unknown(call.name, roleExtractor)
	}
	return bad(offset)
}

func (c *checker) event(call callSyntax, at place) term {
	offset := call.name.offset
	name, ok := c.text(call, "the event's name")
	if !ok {
		return bad(offset)
	}
	switch {
	case at.events >= MaxEventDepth:
		c.errorf(offset, CodeEventNesting, "", "events may be nested %d deep", MaxEventDepth)
	case c.opts.Level == Accounts && c.opts.Purpose == Audience && at.events == 0 && !at.quantified:
		c.errorf(offset, CodeAccountQuantifier, "put ANY or ALL before it, or read an account-level computed trait",
			"an account has no events of its own")
	}
	if c.opts.KnownEvent != nil && !c.opts.KnownEvent(name) {
		c.warnf(offset, CodeUnknownEvent, "", "no event named %s has been received yet", quote(shorten(name)))
	}
	c.result.Events = addOnce(c.result.Events, name)
	d := &draft{stream: &stream{name: name, stages: []stage{{}}}}
	if at.around != nil {
		d.stream.outer = at.around.stream
	}
	d.notes.events = []string{name}
	return term{form: formStream, offset: offset, draft: d}
}

func (c *checker) readsTrait(key string, offset int, at place) {
	if c.opts.KnownTrait != nil && !c.opts.KnownTrait(key) {
		c.warnf(offset, CodeUnknownTrait, "", "no trait named %s is known yet", quote(shorten(key)))
	}
	c.result.Traits = addOnce(c.result.Traits, key)
	if _, seen := c.traitAt[key]; !seen {
		if c.traitAt == nil {
			c.traitAt = map[string]int{}
		}
		c.traitAt[key] = offset
	}
	if at.around != nil {
		at.around.notes.traits = addOnce(at.around.notes.traits, key)
	}
}

func (c *checker) fieldExtractor(call callSyntax, at place) term {
	offset := call.name.offset
	f, ok := c.field(call, true)
	switch {
	case at.events == 0:
		c.errorf(offset, CodeScopeProperty, "read a profile's trait with trait('…')",
			"%s belongs to an event: it stands inside where(…) or in a reducer", call.name.text)
	case ok && f.parent && at.events < 2:
		c.errorf(offset, CodeScopeParent, "remove parent:", "there is no enclosing event here")
	}
	if !ok {
		return bad(offset)
	}
	return term{form: formScalar, offset: offset, scalar: f}
}

// field reads property(…) or context(…).
func (c *checker) field(call callSyntax, parentAllowed bool) (*field, bool) {
	p, ok := c.pathArgument(call, parentAllowed)
	if !ok {
		return nil, false
	}
	f := &field{context: call.name.text == "context", at: p, several: p.many(), parent: call.args[0].label.kind != tokenEnd}
	c.result.Fields = addOnce(c.result.Fields, printed(&field{context: f.context, at: p}))
	return f, true
}

func (c *checker) pathArgument(call callSyntax, parentAllowed bool) (path, bool) {
	a, ok := c.one(call, "a name in quotes")
	if !ok {
		return nil, false
	}
	if a.label.kind != tokenEnd {
		switch {
		case a.label.text != "parent" || call.name.text == "trait":
			return nil, c.mislabelled(a, call)
		case !parentAllowed:
			c.errorf(a.label.offset, CodeScopeParent, "remove parent:", "a reducer reads the event itself")
			return nil, false
		}
	}
	text, ok := c.quotedText(a, "a name in quotes", call)
	if !ok {
		return nil, false
	}
	p, err := parsePath(text)
	if err != nil {
		c.errorf(a.value.start(), CodeBadPath, `a dot that belongs to a name is written \.`, "%s: %v", quote(shorten(text)), err)
		return nil, false
	}
	return p, true
}

func (c *checker) mislabelled(a argumentSyntax, call callSyntax) bool {
	c.errorf(a.label.offset, CodeBadArgument, "remove it", "%s has no argument named %s", call.name.text, shorten(a.label.text))
	return false
}

// one is the single argument of a call.
func (c *checker) one(call callSyntax, wanted string) (argumentSyntax, bool) {
	if len(call.args) == 1 {
		a := call.args[0]
		if _, bad := a.value.(badSyntax); bad {
			return a, false
		}
		if a.cast.kind != tokenEnd {
			c.errorf(a.cast.offset, CodeBadTypeCast, "remove it", "%s takes no `as`", call.name.text)
			return a, false
		}
		return a, true
	}
	offset := call.end
	if len(call.args) > 1 {
		offset = call.args[1].value.start()
	}
	c.errorf(offset, CodeBadArgument, "", "%s takes one argument: %s", call.name.text, wanted)
	return argumentSyntax{}, false
}

// text is the single string argument of a call.
func (c *checker) text(call callSyntax, wanted string) (string, bool) {
	a, ok := c.one(call, wanted)
	if !ok {
		return "", false
	}
	if a.label.kind != tokenEnd {
		return "", c.mislabelled(a, call)
	}
	return c.quotedText(a, wanted, call)
}

func (c *checker) quotedText(a argumentSyntax, wanted string, call callSyntax) (string, bool) {
	l, ok := a.value.(literalSyntax)
	if !ok || l.token.kind != tokenString {
		if _, bad := a.value.(badSyntax); !bad {
			c.errorf(a.value.start(), CodeBadArgument, "put it in quotes", "%s takes %s", call.name.text, strings.TrimSuffix(wanted, " in quotes"))
		}
		return "", false
	}
	if l.token.text == "" && call.name.text != "sources" && wanted != "a name in quotes" {
		c.errorf(a.value.start(), CodeBadArgument, "", "%s is empty", wanted)
		return "", false
	}
	return l.token.text, true
}

// follow applies a call to what stands before the dot.
func (c *checker) follow(t term, call callSyntax, at place) term {
	name, r, ok := c.method(call)
	if !ok {
		return bad(t.offset)
	}
	offset := call.name.offset
	switch {
	case r == roleExtractor:
		c.errorf(offset, CodeBadChain, "put AND or OR between two conditions", "%s starts a chain; it cannot follow a dot", name)
	case t.form == formBoolean:
		c.errorf(offset, CodeBadChain, "join conditions with AND or OR", "nothing can follow a comparison with a dot")
	case r == roleComparison:
		return c.compare(t, relation(name), call.args, call.name, at)
	case t.form == formLiteral:
		c.errorf(t.offset, CodeLiteralOnLeft, "start with event('…') or trait('…')", "a constant takes no .%s()", name)
	case t.form == formList && name == "count":
		if c.none(call) {
			return term{form: formScalar, offset: t.offset, scalar: listLength{t.list}}
		}
	case t.form != formStream:
		c.errorf(offset, CodeBadChain, c.afterReducer(r), "%s works on a list of events; before it stands %s", name, t.form)
	case r == roleFilter:
		c.filter(t.draft, name, call, at)
		return t
	default:
		return c.reducer(t, Op(name), call, at)
	}
	return bad(t.offset)
}

func (c *checker) afterReducer(r role) string {
	if r == roleFilter {
		return "put filters before the reducer"
	}
	return "use one reducer, directly after the filters"
}

func (c *checker) none(call callSyntax) bool {
	if len(call.args) > 0 {
		c.errorf(call.args[0].value.start(), CodeBadArgument, "remove it", "%s takes no argument", call.name.text)
		return false
	}
	return true
}
