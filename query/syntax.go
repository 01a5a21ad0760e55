package query

// The syntax tree is what the parser saw, before anyone asks whether it makes
// sense. The checker turns it into conditions and scalars.

// expression is a node of the syntax tree.
type expression interface{ start() int }

type (
	// badSyntax stands where the parser has already complained.
	badSyntax struct{ offset int }

	// junctionSyntax is items joined by AND or OR.
	junctionSyntax struct {
		word  string
		items []expression
	}

	// prefixSyntax is NOT, ANY or ALL before an expression.
	prefixSyntax struct {
		word token
		x    expression
	}

	// groupSyntax is an expression in parentheses.
	groupSyntax struct {
		offset int
		x      expression
	}

	// signSyntax is a comparison written with a sign.
	signSyntax struct {
		left  expression
		sign  token
		right expression
	}

	// literalSyntax is a bare string, number, date, time or boolean.
	literalSyntax struct{ token token }

	// chainSyntax is a head and the calls that follow it with dots. The head is nil
	// if the chain starts with a call, as it nearly always does.
	chainSyntax struct {
		head  expression
		calls []callSyntax
	}

	// listSyntax is [a, b].
	listSyntax struct {
		offset int
		items  []expression
	}

	// durationSyntax is a number and a unit.
	durationSyntax struct{ amount, unit token }
)

// callSyntax is name(arguments).
type callSyntax struct {
	name token
	args []argumentSyntax
	end  int // offset of the closing parenthesis
}

// argumentSyntax is [label:] value [as cast].
type argumentSyntax struct {
	label token // kind tokenEnd if there is none
	value expression
	cast  token // kind tokenEnd if there is none
}

func (x badSyntax) start() int      { return x.offset }
func (x junctionSyntax) start() int { return x.items[0].start() }
func (x prefixSyntax) start() int   { return x.word.offset }
func (x groupSyntax) start() int    { return x.offset }
func (x signSyntax) start() int     { return x.left.start() }
func (x literalSyntax) start() int  { return x.token.offset }
func (x listSyntax) start() int     { return x.offset }
func (x durationSyntax) start() int { return x.amount.offset }
func (x chainSyntax) start() int {
	if x.head != nil {
		return x.head.start()
	}
	return x.calls[0].name.offset
}
