package query

// allOf is conditions joined by AND.
type allOf []condition

func (c allOf) holds(s scope) bool {
	for _, item := range c {
		if !item.holds(s) {
			return false
		}
	}
	return true
}

// anyOf is conditions joined by OR.
type anyOf []condition

func (c anyOf) holds(s scope) bool {
	for _, item := range c {
		if item.holds(s) {
			return true
		}
	}
	return false
}

// negation is NOT. There is no unknown: what is not true is false.
type negation struct{ of condition }

func (c negation) holds(s scope) bool { return !c.of.holds(s) }

// quantifier is ANY or ALL over an account's users. ALL of no users is false.
type quantifier struct {
	all bool
	of  condition
}

func (c quantifier) holds(s scope) bool {
	for _, user := range s.users {
		if c.of.holds(read(user, s.asOf)) != c.all {
			return !c.all
		}
	}
	return c.all && len(s.users) > 0
}

// comparison is one scalar compared with its arguments, or with the clock.
type comparison struct {
	left  scalar
	is    relation
	args  []scalar
	clock duration // of the relative relations
}

func (c *comparison) holds(s scope) bool {
	switch c.is {
	case absent:
		return !c.present(s)
	case exists:
		return c.present(s)
	case omits:
		return !c.compares(s, contains)
	case equals, differs, greaterThan, atLeast, lessThan, atMost, contains, startsWith, endsWith,
		oneOf, noneOf, beforeDate, afterDate, withinLast, withinNext, beforeLast, afterNext:
	}
	return c.compares(s, c.is)
}

func (c *comparison) present(s scope) bool {
	if !c.left.many() {
		return !c.left.value(s).IsNull()
	}
	return len(c.left.values(nil, s)) > 0
}

// compares says whether one of the values on the left stands in the relation.
// Without a value on either side nothing does.
func (c *comparison) compares(s scope, r relation) bool {
	if c.left.many() {
		lefts := c.left.values(nil, s)
		if r.relative() {
			return c.anyIn(lefts, s)
		}
		rights := c.rights(nil, s)
		for _, l := range lefts {
			if len(rights) > 0 && relates(l, r, rights) {
				return true
			}
		}
		return false
	}
	l := c.left.value(s)
	if l.IsNull() {
		return false
	}
	if r.relative() {
		during, ok := relativeSpan(l, r, c.clock)
		return ok && during.holds(s.asOf)
	}
	if len(c.args) == 1 && !c.args[0].many() && r != noneOf {
		right := c.right(c.args[0], s)
		return !right.IsNull() && relatesTo(l, r, right)
	}
	rights := c.rights(nil, s)
	return len(rights) > 0 && relates(l, r, rights)
}

func (c *comparison) anyIn(lefts []Value, s scope) bool {
	for _, l := range lefts {
		if during, ok := relativeSpan(l, c.is, c.clock); ok && during.holds(s.asOf) {
			return true
		}
	}
	return false
}

func (c *comparison) right(arg scalar, s scope) comparand {
	lit, ok := arg.(literal)
	return comparand{Value: arg.value(s), timeLiteral: ok && lit.time}
}

// rights appends the values on the right. Nulls among them are ignored.
func (c *comparison) rights(dst []comparand, s scope) []comparand {
	for _, arg := range c.args {
		if arg.many() {
			for _, v := range arg.values(nil, s) {
				dst = append(dst, comparand{Value: v})
			}
		} else if right := c.right(arg, s); !right.IsNull() {
			dst = append(dst, right)
		}
	}
	return dst
}
