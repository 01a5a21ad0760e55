package query

import (
	"slices"
	"time"
)

// CheckOptions say what a text is to define, and what it may refer to.
type CheckOptions struct {
	Purpose Purpose // default Audience
	Level   Level   // default Users
	// KnownEvent and KnownTrait say whether a name has ever been seen; a name that
	// has not is worth a warning. Nil: no warnings.
	KnownEvent, KnownTrait func(name string) bool
	// Key is the key under which the definition will be stored, and Reads the trait
	// keys that the definition of a key reads. With both, a definition that would
	// read its own value, directly or through others, is refused.
	Key   string
	Reads func(key string) []string
}

// Compile reads a definition. The Definition is nil if there is any error; warnings
// may come with or without one.
func Compile(text string, opts CheckOptions) (*Definition, Diagnostics) {
	if opts.Purpose == "" {
		opts.Purpose = Audience
	}
	if opts.Level == "" {
		opts.Level = Users
	}
	r := &report{text: text}
	if len(text) > MaxLength {
		r.text = text[:MaxLength]
		r.errorf(MaxLength, CodeTooLong, "split it into several audiences and read them with trait('audience_key')",
			"the text has %d bytes, more than %d", len(text), MaxLength)
		return nil, r.found
	}
	x := parse(r)
	c := checker{report: r, opts: opts, leaves: map[string]*Leaf{}}
	var d *Definition
	if _, bad := x.(badSyntax); !bad {
		d = c.definition(x)
	}
	slices.SortStableFunc(r.found, func(a, b Diagnostic) int { return a.Offset - b.Offset })
	if r.failed {
		return nil, r.found
	}
	return d, r.found
}

// form is the type of a checked expression.
type form uint8

const (
	formBad form = iota // already reported
	formStream
	formScalar
	formList
	formLiteral
	formBoolean
)

func (f form) String() string {
	switch f {
	case formStream:
		return "a list of events"
	case formScalar:
		return "a value"
	case formList:
		return "a list of values"
	case formLiteral:
		return "a constant"
	case formBoolean:
		return "a condition"
	case formBad:
	}
	return "a fault"
}

// term is a checked expression. Only the fields of its form are set.
type term struct {
	form      form
	offset    int
	condition condition
	scalar    scalar     // of a scalar or literal
	list      *leafValue // of a list
	draft     *draft     // of a stream
}

// draft is an event chain that has no reducer yet.
type draft struct {
	stream *stream
	notes  notes
}

// notes are what a leaf has to know of its parts, nested events included.
type notes struct {
	events    []string
	traits    []string
	windows   []EventWindow
	relatives []relativePart
	streams   []*stream // of nested events
	session   bool
}

func (n *notes) add(inner *notes) {
	for _, name := range inner.events {
		n.events = addOnce(n.events, name)
	}
	for _, key := range inner.traits {
		n.traits = addOnce(n.traits, key)
	}
	for _, w := range inner.windows {
		n.windows = addOnce(n.windows, w)
	}
	n.relatives = append(n.relatives, inner.relatives...)
	n.streams = append(n.streams, inner.streams...)
	n.session = n.session || inner.session
}

func addOnce[T comparable](list []T, item T) []T {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

// place is where an expression stands.
type place struct {
	events     int // how many events' wheres are around it
	quantified bool
	around     *draft // the event chain whose where it is in, nil at the top
}

type checker struct {
	*report
	opts    CheckOptions
	result  Definition
	leaves  map[string]*Leaf
	traitAt map[string]int // where each trait key is first read
}

// definition checks the whole text.
func (c *checker) definition(x expression) *Definition {
	d := &c.result
	d.Purpose, d.Level = c.opts.Purpose, c.opts.Level
	t := c.check(x, place{})
	c.suits(t)
	if d.Comparisons > MaxComparisons {
		c.errorf(t.offset, CodeTooMany, "split it into several audiences and read them with trait('audience_key')",
			"%d comparisons, more than %d", d.Comparisons, MaxComparisons)
	}
	c.cycles()
	if c.failed {
		return nil
	}
	d.LeafCount = len(d.Leaves)
	if d.Class = Realtime; len(d.ClassBecause) > 0 {
		d.Class = Scheduled
	}
	switch {
	case t.form == formBoolean:
		d.condition, d.text = t.condition, printed(t.condition)
	case t.form == formList:
		d.scalar, d.text = t.list, printed(t.list)
	default:
		d.scalar, d.text = t.scalar, printed(t.scalar)
	}
	c.printable(d.text)
	if c.failed {
		return nil
	}
	if d.Level == Accounts && d.Class == Realtime {
		// Which users an account has is only looked at on schedule.
		d.Class, d.ClassBecause = Scheduled, []string{d.text}
	}
	d.Empty = d.Eval(Profile{}, time.Time{})
	d.TrueOnEmpty = d.Empty.AsBool()
	return d
}

// printable refuses a text at the very limits that printing pushes over them, for a
// definition is stored as it is printed.
func (c *checker) printable(text string) {
	again := report{text: text}
	if len(text) > MaxLength {
		again.errorf(0, CodeTooLong, "", "it has %d bytes, more than %d", len(text), MaxLength)
	} else {
		parse(&again)
	}
	for _, d := range again.found {
		c.errorf(0, d.Code, "split it into several audiences and read them with trait('audience_key')", "in its canonical form %s", d.Message)
	}
}

// suits says whether the whole has the type that its purpose asks for.
func (c *checker) suits(t term) {
	audience := c.opts.Purpose == Audience
	switch {
	case t.form == formBad: // reported already
	case audience && t.form == formBoolean:
	case !audience && (t.form == formScalar || t.form == formList):
	case t.form == formLiteral:
		c.errorf(t.offset, CodeLiteralOnLeft, "start with event('…') or trait('…')", "a constant alone defines nothing")
	case audience && t.form == formStream:
		c.errorf(t.offset, CodeNotBoolean, "add .count() >= 1", "an audience needs a condition; this is %s", t.form)
	case audience && t.form == formList:
		c.errorf(t.offset, CodeNotBoolean, "add .count() >= 1, or define a computed trait", "an audience needs a condition; this is %s", t.form)
	case audience:
		c.errorf(t.offset, CodeNotBoolean, "compare it, as in >= 1, or define a computed trait", "an audience needs a condition; this is %s", t.form)
	case t.form == formStream:
		c.errorf(t.offset, CodeNotScalar, "add a reducer, such as .count() or .last(property('…'))", "a computed trait needs a value; this is %s", t.form)
	default:
		c.errorf(t.offset, CodeNotScalar, "remove the comparison, or define an audience", "a computed trait needs a value; this is %s", t.form)
	}
}

// check gives an expression its meaning.
func (c *checker) check(x expression, at place) term {
	switch x := x.(type) {
	case junctionSyntax:
		return c.junction(x, at)
	case prefixSyntax:
		return c.prefix(x, at)
	case groupSyntax:
		return c.check(x.x, at)
	case signSyntax:
		left := c.check(x.left, at)
		right := argumentSyntax{value: x.right}
		return c.compare(left, signs[x.sign.text], []argumentSyntax{right}, x.sign, at)
	case literalSyntax:
		return term{form: formLiteral, offset: x.start(), scalar: literalOf(x.token)}
	case chainSyntax:
		return c.chain(x, at)
	case listSyntax:
		c.errorf(x.offset, CodeBadArgument, "lists belong in contains, one_of, none_of and sources", "a list cannot stand here")
	case durationSyntax:
		c.errorf(x.start(), CodeBadArgument, "durations belong in within, between, expires_after and the relative dates", "a duration cannot stand here")
	case badSyntax:
	}
	return term{form: formBad, offset: x.start()}
}

func (c *checker) junction(x junctionSyntax, at place) term {
	items := make([]condition, 0, len(x.items))
	for _, item := range x.items {
		b, ok := c.boolean(c.check(item, at), x.word)
		switch inner := b.(type) {
		case allOf:
			if x.word == "AND" {
				items = append(items, inner...)
				continue
			}
		case anyOf:
			if x.word == "OR" {
				items = append(items, inner...)
				continue
			}
		}
		if ok {
			items = append(items, b)
		}
	}
	t := term{form: formBoolean, offset: x.start(), condition: allOf(items)}
	if x.word == "OR" {
		t.condition = anyOf(items)
	}
	return t
}

func (c *checker) prefix(x prefixSyntax, at place) term {
	t := term{form: formBoolean, offset: x.start()}
	word := x.word.text
	if word != "NOT" {
		switch {
		case c.opts.Level != Accounts:
			c.errorf(x.start(), CodeScopeAnyAll, "remove it: the definition is about each user already", "%s is about an account's users, and this is at the level of users", word)
		case at.events > 0:
			c.errorf(x.start(), CodeScopeAnyAll, "put it before the event", "%s cannot stand inside where", word)
		case at.quantified:
			c.errorf(x.start(), CodeScopeAnyAll, "join two with AND or OR instead", "%s cannot stand inside ANY or ALL", word)
		}
		at.quantified = true
	}
	of, ok := c.boolean(c.check(x.x, at), word)
	if !ok {
		return term{form: formBad, offset: x.start()}
	}
	if word == "NOT" {
		t.condition = negation{of}
		return t
	}
	q := quantifier{all: word == "ALL", of: of}
	t.condition = q
	if c.opts.Level == Accounts {
		c.because(printed(q))
	}
	return t
}

// boolean is the term's condition; what stands beside a junction has to have one.
func (c *checker) boolean(t term, around string) (condition, bool) {
	switch t.form {
	case formBoolean:
		return t.condition, true
	case formBad:
		return nil, false
	case formStream, formScalar, formList, formLiteral:
	}
	hint := "compare it, as in >= 1 or .exists()"
	if t.form == formStream {
		hint = "add .count() >= 1"
	}
	c.errorf(t.offset, CodeNotBoolean, hint, "%s needs a condition; this is %s", around, t.form)
	return nil, false
}

func (c *checker) because(part string) {
	c.result.ClassBecause = addOnce(c.result.ClassBecause, part)
}

// literalOf is the constant that a token stands for. true and false are the texts
// that they equal.
func literalOf(t token) literal {
	switch t.kind {
	case tokenNumber:
		n, _ := parseNumber(t.text)
		return literal{constant: numeric(n)}
	case tokenDate, tokenTimestamp:
		return literal{constant: Text(t.text), time: true}
	case tokenString, tokenName, tokenEnd, tokenSymbol, tokenJunction:
	}
	return literal{constant: Text(t.text)}
}
