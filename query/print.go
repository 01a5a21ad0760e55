package query

import "strings"

// The canonical text. It drops what does not matter (spaces, brackets, aliases,
// the order of filters, the unit of a window) and keeps what does, so that equal
// definitions print the same.

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func printed(x interface{ appendText([]byte) []byte }) string { return string(x.appendText(nil)) }

func (c allOf) appendText(dst []byte) []byte {
	for i, item := range c {
		if i > 0 {
			dst = append(dst, " AND "...)
		}
		_, or := item.(anyOf)
		dst = appendBracketed(dst, item, or && len(c) > 1)
	}
	return dst
}

func (c anyOf) appendText(dst []byte) []byte {
	for i, item := range c {
		if i > 0 {
			dst = append(dst, " OR "...)
		}
		dst = item.appendText(dst)
	}
	return dst
}

func appendBracketed(dst []byte, c condition, brackets bool) []byte {
	if !brackets {
		return c.appendText(dst)
	}
	return append(c.appendText(append(dst, '(')), ')')
}

func joins(c condition) bool {
	switch c.(type) {
	case allOf, anyOf:
		return true
	}
	return false
}

func (c negation) appendText(dst []byte) []byte {
	return appendBracketed(append(dst, "NOT "...), c.of, joins(c.of))
}

func (c quantifier) appendText(dst []byte) []byte {
	word := "ANY "
	if c.all {
		word = "ALL "
	}
	return appendBracketed(append(dst, word...), c.of, joins(c.of))
}

func (c *comparison) appendText(dst []byte) []byte {
	dst = c.left.appendText(dst)
	if sign, ok := signOf[c.is]; ok {
		dst = append(append(append(dst, ' '), sign...), ' ')
		return c.args[0].appendText(dst)
	}
	dst = append(append(append(dst, '.'), c.is...), '(')
	if c.is.relative() {
		dst = append(dst, c.clock.String()...)
	}
	for i, arg := range c.args {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = arg.appendText(dst)
	}
	return append(dst, ')')
}

func (l literal) appendText(dst []byte) []byte {
	if l.constant.Kind() == KindString && !l.time {
		return append(dst, quote(l.constant.text)...)
	}
	return append(dst, l.constant.AsText()...)
}

func (t *traitValue) appendText(dst []byte) []byte {
	return append(append(append(dst, "trait("...), quote(t.at.String())...), ')')
}

func (f *field) appendText(dst []byte) []byte {
	if f.context {
		dst = append(dst, "context("...)
	} else {
		dst = append(dst, "property("...)
	}
	if f.parent {
		dst = append(dst, "parent: "...)
	}
	return append(append(dst, quote(f.at.String())...), ')')
}

func (v *leafValue) appendText(dst []byte) []byte { return append(dst, v.leaf.Text...) }

func (l listLength) appendText(dst []byte) []byte {
	return append(l.of.appendText(dst), ".count()"...)
}

func (st *stream) appendText(dst []byte) []byte {
	dst = append(append(append(dst, "event("...), quote(st.name)...), ')')
	for i := range st.stages {
		dst = st.stages[i].appendText(dst)
	}
	return dst
}

func (g *stage) appendText(dst []byte) []byte {
	if len(g.where) > 0 {
		dst = append(g.where.appendText(append(dst, ".where("...)), ')')
	}
	for i, id := range g.excluded {
		if i == 0 {
			dst = append(dst, ".sources({exclude: "...)
		} else {
			dst = append(dst, ", "...)
		}
		dst = append(dst, quote(id)...)
	}
	if len(g.excluded) > 0 {
		dst = append(dst, "})"...)
	}
	if g.follow != nil {
		dst = g.follow.appendText(dst, "parent: ")
	}
	if g.window != nil {
		dst = g.window.appendText(dst, "")
	}
	if g.session > 0 {
		dst = append(append(append(dst, ".expires_after("...), formatDuration(g.session)...), ')')
	}
	return dst
}

// appendText prints within if the near edge is now, else between. Windows that
// exclude each other have no common one, so two are printed that do the same.
func (w Window) appendText(dst []byte, label string) []byte {
	if w.empty() {
		dst = Window{0, w.Far}.appendText(dst, label)
		return Window{w.Near, w.Near}.appendText(dst, label)
	}
	if w.Near == 0 {
		return append(append(append(append(dst, ".within("...), label...), formatDuration(w.Far)...), ')')
	}
	dst = append(append(append(dst, ".between("...), label...), formatDuration(w.Near)...)
	return append(append(append(dst, ", "...), formatDuration(w.Far)...), ')')
}

func (r *Reducer) appendText(dst []byte) []byte {
	dst = append(append(append(dst, '.'), r.Op...), '(')
	dst = append(dst, r.Field...)
	switch {
	case r.Op == OpMode && r.As != AsString, r.Op != OpMode && r.As == AsString:
		dst = append(append(dst, " as "...), r.As...)
	}
	if r.Op == OpMode {
		dst = Int(int64(r.AtLeast)).AppendJSON(append(dst, ", "...))
	}
	return append(dst, ')')
}
