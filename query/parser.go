package query

// parser reads tokens by recursive descent, without going back. After a fault it
// skips to the next junction or closing bracket and goes on, so that one run
// reports what can be reported.
type parser struct {
	*report
	tokens  []token
	pos     int
	depth   int
	stopped bool // nested too deeply, or too faulty, to go on
}

func parse(r *report) expression {
	p := parser{report: r, tokens: lex(r)}
	x := p.expression()
	for !p.stopped && p.peek().kind != tokenEnd {
		p.unexpected("")
		before := p.pos
		p.expression() // only for the faults in it
		if p.pos == before {
			p.advance()
		}
	}
	return x
}

func (p *parser) peek() token { return p.tokens[p.pos] }

// peekNext is the token behind the next.
func (p *parser) peekNext() token { return p.tokens[min(p.pos+1, len(p.tokens)-1)] }

func (p *parser) advance() token {
	t := p.tokens[p.pos]
	if t.kind != tokenEnd {
		p.pos++
	}
	return t
}

func (p *parser) accept(symbol string) bool {
	if p.peek().is(symbol) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) junction(word string) bool {
	t := p.peek()
	return t.kind == tokenJunction && t.text == word
}

// enter counts the nesting; leave undoes it. Past the limit nothing more is read.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > MaxDepth {
		p.errorf(p.peek().offset, CodeTooDeep, "split the definition into several audiences and read them with trait('audience_key')",
			"nested more than %d deep", MaxDepth)
		p.stop()
		return false
	}
	return true
}

func (p *parser) stop() {
	p.stopped = true
	p.pos = len(p.tokens) - 1
}

func (p *parser) leave() { p.depth-- }

// unexpected reports the next token.
func (p *parser) unexpected(wanted string) badSyntax {
	t := p.peek()
	if !p.stopped {
		message := "did not expect " + t.describe() + " here"
		if wanted != "" {
			message = "expected " + wanted + ", found " + t.describe()
		}
		p.errorf(t.offset, CodeUnexpectedToken, p.adviceOn(t), "%s", message)
		if p.full() {
			p.stop()
		}
	}
	return badSyntax{t.offset}
}

// adviceOn guesses what the author meant by a token that cannot stand where it does.
func (p *parser) adviceOn(t token) string {
	switch {
	case t.kind == tokenName && p.peekNext().is("("), t.kind == tokenJunction && t.text == "NOT":
		if p.pos > 0 && (p.tokens[p.pos-1].is(")") || isOperand(p.tokens[p.pos-1])) {
			return "put AND or OR between two conditions"
		}
	case t.kind == tokenName && (t.text == "null" || t.text == "NULL" || t.text == "nil" || t.text == "None"):
		return "use .absent() or .exists() to ask for a missing value"
	case t.kind == tokenName && (t.text == "And" || t.text == "Or" || t.text == "Not"):
		return "write junctions in capitals: AND, OR, NOT"
	case t.kind == tokenName:
		return "put text in quotes, and read a trait with trait('" + shorten(t.text) + "')"
	case isSign(t):
		return "compare once, and join two comparisons with AND"
	case t.is(")"):
		return "remove it, or add the ( that it closes"
	case t.kind == tokenEnd && p.depth > 0:
		return "a closing bracket is missing"
	}
	return ""
}

func isOperand(t token) bool {
	return t.kind == tokenString || t.kind == tokenNumber || t.kind == tokenDate || t.kind == tokenTimestamp
}

func isSign(t token) bool {
	if t.kind != tokenSymbol {
		return false
	}
	_, ok := signs[t.text]
	return ok
}

// skip moves to the end of this condition; past junctions, to the end of the
// brackets that it stands in.
func (p *parser) skip(pastJunctions bool) {
	for depth := 0; ; p.advance() {
		switch t := p.peek(); {
		case t.kind == tokenEnd:
			return
		case t.is("("), t.is("["), t.is("{"):
			depth++
		case t.is(")"), t.is("]"), t.is("}"):
			if depth == 0 {
				return
			}
			depth--
		case depth == 0 && !pastJunctions && (p.junction("AND") || p.junction("OR")):
			return
		}
	}
}

// closes takes the closing bracket. If something else stands there it says so and
// skips what is left in the brackets.
func (p *parser) closes(symbol string) bool {
	if p.accept(symbol) {
		return true
	}
	p.unexpected("`" + symbol + "`")
	p.skip(true)
	if t := p.peek(); t.is(")") || t.is("]") || t.is("}") {
		p.advance()
	}
	return false
}

func (p *parser) expression() expression { return p.joined("OR", p.conjunction) }

func (p *parser) conjunction() expression { return p.joined("AND", p.unary) }

func (p *parser) joined(word string, operand func() expression) expression {
	first := operand()
	if !p.junction(word) {
		return first
	}
	items := []expression{first}
	for p.junction(word) {
		p.advance()
		items = append(items, operand())
	}
	return junctionSyntax{word, items}
}

func (p *parser) unary() expression {
	if !p.junction("NOT") && !p.junction("ANY") && !p.junction("ALL") {
		return p.primary()
	}
	word := p.advance()
	defer p.leave()
	if !p.enter() {
		return badSyntax{word.offset}
	}
	return prefixSyntax{word, p.unary()}
}

// primary is one condition, or an expression in parentheses with what follows it.
func (p *parser) primary() expression {
	x := p.chain()
	if _, bad := x.(badSyntax); bad {
		p.skip(false)
		return x
	}
	if !isSign(p.peek()) {
		return x
	}
	sign := p.advance()
	right := p.chain()
	if _, bad := right.(badSyntax); bad {
		p.skip(false)
	}
	return signSyntax{x, sign, right}
}

// chain is a literal, a group or a call, and the calls that follow it with dots.
func (p *parser) chain() expression {
	t := p.peek()
	var c chainSyntax
	switch {
	case isOperand(t), t.kind == tokenName && (t.text == "true" || t.text == "false"):
		p.advance()
		c.head = literalSyntax{t}
	case t.is("("):
		x := p.group()
		if _, bad := x.(badSyntax); bad {
			return x
		}
		c.head = x
	case t.kind == tokenName && p.peekNext().is("("):
		call, ok := p.call()
		if !ok {
			return badSyntax{t.offset}
		}
		c.calls = append(c.calls, call)
	default:
		return p.unexpected("a condition or a value")
	}
	for p.accept(".") {
		if p.peek().kind != tokenName && p.peek().kind != tokenJunction {
			return p.unexpected("the name of a function after the dot")
		}
		call, ok := p.call()
		if !ok {
			return badSyntax{t.offset}
		}
		c.calls = append(c.calls, call)
	}
	if c.calls == nil {
		return c.head
	}
	return c
}

func (p *parser) group() expression {
	open := p.advance()
	defer p.leave()
	if !p.enter() {
		return badSyntax{open.offset}
	}
	x := p.expression()
	if !p.closes(")") {
		return badSyntax{open.offset}
	}
	return groupSyntax{open.offset, x}
}

func (p *parser) call() (callSyntax, bool) {
	c := callSyntax{name: p.advance()}
	if !p.accept("(") {
		p.unexpected("`(` after " + c.name.text)
		return c, false
	}
	defer p.leave()
	if !p.enter() {
		return c, false
	}
	braced := p.accept("{")
	for !p.peek().is(")") && !p.peek().is("}") {
		if len(c.args) > 0 && !p.accept(",") {
			break
		}
		c.args = append(c.args, p.argument())
	}
	if braced && !p.closes("}") {
		p.skip(true)
		p.accept(")")
		return c, false
	}
	c.end = p.peek().offset
	return c, p.closes(")")
}

func (p *parser) argument() argumentSyntax {
	var a argumentSyntax
	if p.peek().kind == tokenName && p.peekNext().is(":") {
		a.label = p.advance()
		p.advance()
	}
	switch t := p.peek(); {
	case t.is("["):
		a.value = p.list()
	case t.kind == tokenNumber && p.peekNext().kind == tokenName && p.peekNext().text != "as":
		a.value = durationSyntax{p.advance(), p.advance()}
	default:
		a.value = p.expression()
	}
	if t := p.peek(); t.kind == tokenName && t.text == "as" {
		p.advance()
		if p.peek().kind != tokenName {
			p.unexpected("number, string or array after as")
			return a
		}
		a.cast = p.advance()
	}
	return a
}

func (p *parser) list() expression {
	l := listSyntax{offset: p.advance().offset}
	defer p.leave()
	if !p.enter() {
		return badSyntax{l.offset}
	}
	for !p.peek().is("]") {
		if len(l.items) > 0 && !p.accept(",") {
			break
		}
		l.items = append(l.items, p.chain())
	}
	if !p.closes("]") {
		return badSyntax{l.offset}
	}
	return l
}
