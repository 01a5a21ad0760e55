package query

// doubt warns of a comparison whose outcome no profile can change. It looks at
// constants only, so it says nothing where it is not sure.
func (c *checker) doubt(x *comparison, at token) {
	number := countsOrSums(x.left)
	switch x.is {
	case absent, exists:
		if isCount(x.left) {
			code := CodeNeverTrue
			if x.is == exists {
				code = CodeAlwaysTrue
			}
			c.warnf(at.offset, code, "compare it with = 0 or >= 1", "a count always has a value")
		}
		return
	case withinLast, withinNext, beforeLast, afterNext, beforeDate, afterDate:
		if number {
			c.warnf(at.offset, CodeNeverTrue, "", "a number is never a time")
			return
		}
	case equals, differs, greaterThan, atLeast, lessThan, atMost, contains, omits, startsWith, endsWith, oneOf, noneOf:
	}
	if len(x.args) != 1 {
		return
	}
	right, ok := x.args[0].(literal)
	if !ok {
		return
	}
	n, numeric := right.constant.number()
	_, _, timely := right.constant.instant()
	switch x.is {
	case beforeDate, afterDate:
		if !timely {
			c.warnf(at.offset, CodeNeverTrue, "write a date as 2026-01-31", "%s is not a time", printed(right))
		}
	case greaterThan, atLeast, lessThan, atMost:
		switch {
		case !numeric && !timely:
			c.warnf(at.offset, CodeNeverTrue, "", "only numbers and times have an order, and %s is neither", printed(right))
		case number && !numeric:
			c.warnf(at.offset, CodeNeverTrue, "", "a number is never before or after a time")
		case isCount(x.left):
			c.doubtCount(x.is, n, at)
		}
	case equals, oneOf:
		switch {
		case number && !numeric:
			c.warnf(at.offset, CodeNeverTrue, "", "a number never equals %s", printed(right))
		case isCount(x.left) && !natural(n):
			c.warnf(at.offset, CodeNeverTrue, "", "a count is a whole number, 0 or more")
		}
	case differs, absent, exists, contains, omits, startsWith, endsWith, noneOf, withinLast, withinNext, beforeLast, afterNext:
	}
}

func (c *checker) doubtCount(is relation, n number, at token) {
	zero := n.compare(number{})
	switch {
	case is == lessThan && zero <= 0, is == atMost && zero < 0:
		c.warnf(at.offset, CodeNeverTrue, "", "a count is never less than 0")
	case is == atLeast && zero <= 0, is == greaterThan && zero < 0:
		c.warnf(at.offset, CodeAlwaysTrue, "", "a count is always 0 or more")
	}
}

func natural(n number) bool {
	d := n.decimal()
	return !d.IsNegative() && d.IsInteger()
}

func isCount(x scalar) bool {
	switch x := x.(type) {
	case listLength:
		return true
	case *leafValue:
		return x.leaf.Reducer.Op == OpCount
	}
	return false
}

// countsOrSums says whether the scalar is a number or null, whatever the events.
func countsOrSums(x scalar) bool {
	v, ok := x.(*leafValue)
	if !ok {
		return isCount(x)
	}
	switch v.leaf.Reducer.Op {
	case OpCount, OpSum, OpAvg:
		return true
	case OpMin, OpMax, OpMode:
		return v.leaf.Reducer.As == AsNumber
	case OpFirst, OpLast, OpUnique:
	}
	return false
}
