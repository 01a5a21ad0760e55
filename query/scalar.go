package query

// literal is a constant.
type literal struct {
	constant Value
	time     bool // written as a bare date or timestamp
}

func (l literal) value(scope) Value                   { return l.constant }
func (l literal) many() bool                          { return false }
func (l literal) values(dst []Value, _ scope) []Value { return append(dst, l.constant) }

// traitValue is trait('…').
type traitValue struct {
	at      path
	several bool
}

func (t *traitValue) key() string { return t.at[0] }

func (t *traitValue) many() bool { return t.several }

func (t *traitValue) value(s scope) Value {
	if t.several {
		return firstOf(t.values(nil, s))
	}
	return t.at[1:].of(s.in.Trait(t.at[0]))
}

func (t *traitValue) values(dst []Value, s scope) []Value {
	return t.at[1:].allOf(dst, s.in.Trait(t.at[0]))
}

// field is property('…') or context('…').
type field struct {
	context bool
	parent  bool // of the enclosing event
	at      path
	several bool
}

func (f *field) many() bool { return f.several }

func (f *field) value(s scope) Value {
	if f.several {
		return firstOf(f.values(nil, s))
	}
	return f.at.in(f.raw(s))
}

func (f *field) values(dst []Value, s scope) []Value { return f.at.allIn(dst, f.raw(s)) }

func (f *field) raw(s scope) []byte {
	e := s.event
	if f.parent {
		e = s.parent.event
	}
	if f.context {
		return e.Context
	}
	return e.Properties
}

func firstOf(vs []Value) Value {
	if len(vs) == 0 {
		return Null()
	}
	return vs[0]
}

// leafValue is the value of an event chain: at the top of a definition it is one
// of the inputs, inside a where it belongs to the event at hand.
type leafValue struct {
	leaf   *Leaf
	nested bool
}

func (v *leafValue) many() bool { return false }

func (v *leafValue) value(s scope) Value {
	if v.nested {
		return v.leaf.reduce(v.leaf.stream.events(s))
	}
	return s.in.Leaf(v.leaf)
}

func (v *leafValue) values(dst []Value, s scope) []Value {
	if value := v.value(s); !value.IsNull() {
		dst = append(dst, value)
	}
	return dst
}

// listLength is .count() of a unique list: 0 when there is none.
type listLength struct{ of *leafValue }

func (l listLength) many() bool          { return false }
func (l listLength) value(s scope) Value { return Int(int64(len(l.of.value(s).Elements()))) }
func (l listLength) values(dst []Value, s scope) []Value {
	return append(dst, l.value(s))
}
