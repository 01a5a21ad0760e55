package query

import "strconv"

// reducer ends an event chain: what stands before it becomes a leaf.
func (c *checker) reducer(t term, op Op, call callSyntax, at place) term {
	r, ok := c.reduction(op, call)
	if !ok {
		return bad(t.offset)
	}
	leaf := c.leaf(t.draft, r)
	nested := at.around != nil
	if nested {
		t.draft.notes.streams = append(t.draft.notes.streams, t.draft.stream)
		at.around.notes.add(&t.draft.notes)
		c.result.Funnel = true
	} else {
		leaf = c.shared(leaf)
	}
	v := &leafValue{leaf: leaf, nested: nested}
	if op == OpUnique {
		return term{form: formList, offset: t.offset, list: v}
	}
	return term{form: formScalar, offset: t.offset, scalar: v}
}

// leaf makes the leaf of a finished chain.
func (c *checker) leaf(d *draft, r Reducer) *Leaf {
	n := &d.notes
	window := c.windows(d)
	l := &Leaf{
		Event: d.stream.name, Events: n.events, Traits: n.traits, Reducer: r,
		Window: window, Windows: n.windows,
		Foldable:     len(n.streams) == 0 && !n.session && len(n.traits) == 0 && len(n.relatives) == 0,
		ClockInWhere: len(n.relatives) > 0,
		stream:       d.stream, inner: n.streams, relatives: n.relatives,
	}
	l.steady = !n.session && !l.ClockInWhere
	for _, inner := range n.streams {
		l.steady = l.steady && !inner.windowed()
	}
	l.Text = string(r.appendText(d.stream.appendText(nil)))
	if l.Window == nil {
		c.result.Unbounded = true
	}
	return l
}

// windows notes the windows of a finished chain and returns what they have in common.
func (c *checker) windows(d *draft) *Window {
	var common *Window
	for i := range d.stream.stages {
		w := d.stream.stages[i].window
		if w == nil {
			continue
		}
		common = intersection(common, *w)
		c.because("event(" + quote(d.stream.name) + ")" + string(w.appendText(nil, "")))
		c.result.MaxLookback = max(c.result.MaxLookback, w.Far)
		if !w.empty() {
			d.notes.windows = addOnce(d.notes.windows, EventWindow{d.stream.name, w.Near, w.Far})
		}
	}
	return common
}

// shared is the definition's own leaf of that text.
func (c *checker) shared(l *Leaf) *Leaf {
	if have, ok := c.leaves[l.Text]; ok {
		return have
	}
	c.leaves[l.Text] = l
	c.result.Leaves = append(c.result.Leaves, l)
	return l
}

// reduction reads the reducer's arguments.
func (c *checker) reduction(op Op, call callSyntax) (Reducer, bool) {
	r := Reducer{Op: op}
	if op == OpCount {
		return r, c.none(call)
	}
	most := 1
	if op == OpMode {
		most, r.As, r.AtLeast = 2, AsString, DefaultModeMinimum
	}
	if len(call.args) == 0 || len(call.args) > most {
		c.errorf(call.end, CodeBadArgument, "write "+string(op)+"(property('…'))", "%s takes a property or a context field", op)
		return r, false
	}
	a := call.args[0]
	if a.label.kind != tokenEnd {
		return r, c.mislabelled(a, call)
	}
	x, ok := a.value.(chainSyntax)
	if !ok || x.head != nil || len(x.calls) != 1 || x.calls[0].name.text != "property" && x.calls[0].name.text != "context" {
		if _, bad := a.value.(badSyntax); !bad {
			c.errorf(a.value.start(), CodeBadArgument, "write "+string(op)+"(property('…'))", "%s takes a property or a context field", op)
		}
		return r, false
	}
	f, ok := c.field(x.calls[0], false)
	if !ok {
		return r, false
	}
	r.field, r.Field = f, printed(f)
	if op == OpMin || op == OpMax {
		r.As = AsNumber
	}
	if !c.cast(&r, a.cast) {
		return r, false
	}
	if len(call.args) == 2 {
		r.AtLeast, ok = c.minimum(call.args[1], call)
	}
	return r, ok
}

func (c *checker) cast(r *Reducer, as token) bool {
	if as.kind == tokenEnd {
		return true
	}
	switch to := Cast(as.text); {
	case r.Op != OpMin && r.Op != OpMax && r.Op != OpMode:
		c.errorf(as.offset, CodeBadTypeCast, "remove it", "%s takes no `as`: only min, max and mode do", r.Op)
	case to == AsNumber, to == AsString, to == AsArray && r.Op == OpMode:
		r.As = to
		return true
	case to == AsArray:
		c.errorf(as.offset, CodeBadTypeCast, "use as number or as string", "only mode can read arrays")
	default:
		c.errorf(as.offset, CodeBadTypeCast, "use number, string or array", "`%s` is not a type", shorten(as.text))
	}
	return false
}

// minimum is mode's second argument.
func (c *checker) minimum(a argumentSyntax, call callSyntax) (int, bool) {
	if a.label.kind != tokenEnd {
		return 0, c.mislabelled(a, call)
	}
	l, ok := a.value.(literalSyntax)
	if !ok || l.token.kind != tokenNumber || a.cast.kind != tokenEnd {
		if _, bad := a.value.(badSyntax); !bad {
			c.errorf(a.value.start(), CodeBadArgument, "write mode(property('…'), 2)", "the least number of times is a whole number")
		}
		return 0, false
	}
	k, err := strconv.Atoi(l.token.text)
	switch {
	case err == nil && k >= 1 && k <= 1_000_000_000:
		return k, true
	case err == nil && k < 1:
		c.errorf(l.start(), CodeModeMinimum, "", "mode has to see a value at least once")
	default:
		c.errorf(l.start(), CodeModeMinimum, "", "the least number of times is a whole number up to 1000000000")
	}
	return 0, false
}
