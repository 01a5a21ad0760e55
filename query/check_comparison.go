package query

// compare makes a comparison of a term with its arguments.
func (c *checker) compare(left term, is relation, args []argumentSyntax, sign token, at place) term {
	c.result.Comparisons++
	x := &comparison{is: is}
	switch left.form {
	case formScalar:
		x.left = left.scalar
	case formLiteral:
		c.errorf(left.offset, CodeLiteralOnLeft, "turn it round: the value first, then the constant", "a constant cannot stand on the left")
	case formStream:
		c.errorf(sign.offset, CodeBadChain, "add a reducer before it, such as .count()", "a list of events cannot be compared")
	case formList:
		c.errorf(sign.offset, CodeBadChain, "add .count() to compare how many there are", "a list of values cannot be compared")
	case formBoolean:
		c.errorf(sign.offset, CodeBadChain, "join conditions with AND or OR", "a condition cannot be compared")
	case formBad:
	}
	ok := c.arguments(x, args, sign, at)
	if left.form != formScalar || !ok {
		return bad(left.offset)
	}
	if is.relative() {
		c.relative(x, at)
	}
	c.doubt(x, sign)
	return term{form: formBoolean, offset: left.offset, condition: x}
}

// relative notes a comparison with the clock.
func (c *checker) relative(x *comparison, at place) {
	c.because(printed(x))
	if at.around != nil {
		at.around.notes.relatives = append(at.around.notes.relatives, relativePart{at.around.stream, x})
		return
	}
	c.result.relatives = append(c.result.relatives, x)
	if t, ok := x.left.(*traitValue); ok {
		c.result.ClockTraits = addOnce(c.result.ClockTraits, t.key())
	}
}

// arguments reads the right-hand side.
func (c *checker) arguments(x *comparison, args []argumentSyntax, name token, at place) bool {
	for _, a := range args {
		if a.label.kind != tokenEnd {
			c.errorf(a.label.offset, CodeBadArgument, "remove it", "%s has no argument named %s", x.is, shorten(a.label.text))
			return false
		}
		if a.cast.kind != tokenEnd {
			c.errorf(a.cast.offset, CodeBadTypeCast, "remove it", "%s takes no `as`", x.is)
			return false
		}
	}
	switch x.is {
	case absent, exists:
		if len(args) > 0 {
			c.errorf(args[0].value.start(), CodeBadArgument, "remove it", "%s takes no argument", x.is)
		}
		return len(args) == 0
	case withinLast, withinNext, beforeLast, afterNext:
		if len(args) != 1 {
			c.errorf(name.offset, CodeBadDuration, "write "+string(x.is)+"(7 days)", "%s takes one duration", x.is)
			return false
		}
		var ok bool
		x.clock, ok = c.duration(args[0], false)
		return ok
	case contains, oneOf, noneOf:
		return c.several(x, args, name, at)
	case equals, differs, greaterThan, atLeast, lessThan, atMost, omits, startsWith, endsWith, beforeDate, afterDate:
	}
	if len(args) != 1 {
		c.errorf(name.offset, CodeBadArgument, "", "%s takes one value", x.is)
		return false
	}
	arg, ok := c.operand(args[0].value, at)
	x.args = []scalar{arg}
	return ok
}

func (c *checker) several(x *comparison, args []argumentSyntax, name token, at place) bool {
	all := true
	for _, a := range args {
		items := []expression{a.value}
		if l, ok := a.value.(listSyntax); ok {
			items = l.items
		}
		for _, item := range items {
			arg, ok := c.operand(item, at)
			all = all && ok
			x.args = append(x.args, arg)
		}
	}
	if len(x.args) == 0 {
		c.errorf(name.offset, CodeBadArgument, "", "%s takes at least one value", x.is)
		return false
	}
	return all
}

// operand is a value on the right.
func (c *checker) operand(x expression, at place) (scalar, bool) {
	t := c.check(x, at)
	switch t.form {
	case formScalar, formLiteral:
		return t.scalar, true
	case formBad:
		return nil, false
	case formStream:
		c.errorf(t.offset, CodeBadArgument, "add a reducer, such as .count()", "a value is expected; this is %s", t.form)
	case formList:
		c.errorf(t.offset, CodeBadArgument, "add .count()", "a value is expected; this is %s", t.form)
	case formBoolean:
		c.errorf(t.offset, CodeBadArgument, "compare once, and join two comparisons with AND", "a value is expected; this is %s", t.form)
	}
	return nil, false
}
