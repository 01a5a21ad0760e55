package query

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenString
	tokenNumber
	tokenDate
	tokenTimestamp
	tokenSymbol // punctuation and comparison signs
	tokenJunction
)

// token is a piece of the text. Its text is the name, the string's value, the
// number as written, the sign in canonical form, or the junction in upper case.
type token struct {
	kind   tokenKind
	text   string
	offset int
	end    int
}

func (t token) is(symbol string) bool { return t.kind == tokenSymbol && t.text == symbol }

func (t token) describe() string {
	switch t.kind {
	case tokenEnd:
		return "the end of the text"
	case tokenString:
		return "the string " + quote(shorten(t.text))
	case tokenName, tokenNumber, tokenDate, tokenTimestamp, tokenSymbol, tokenJunction:
	}
	return "`" + shorten(t.text) + "`"
}

// shorten is a piece of the text as a message quotes it.
func shorten(s string) string { return clipped(s, 40) }

// clipped is a text of so many characters at most.
func clipped(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// lexer cuts a text into tokens. A character that belongs to none is reported and
// read as what was probably meant, so that one typing slip gives one message.
type lexer struct {
	*report
	pos int
}

func lex(r *report) []token {
	l := lexer{report: r}
	tokens := make([]token, 0, len(r.text)/4+1)
	for {
		t := l.next()
		t.end = l.pos
		tokens = append(tokens, t)
		if t.kind == tokenEnd {
			return tokens
		}
	}
}

// symbols, longest first.
var symbols = [...]string{"==", "!=", ">=", "<=", "=", ">", "<", "(", ")", "[", "]", "{", "}", ",", ".", ":"}

// slips are signs of other languages.
var slips = [...]struct {
	text, meant string
	kind        tokenKind
}{
	{"&&", "AND", tokenJunction},
	{"||", "OR", tokenJunction},
	{"<>", "!=", tokenSymbol},
	{"≠", "!=", tokenSymbol},
	{"≥", ">=", tokenSymbol},
	{"≤", "<=", tokenSymbol},
	{"!", "NOT", tokenJunction},
}

func (l *lexer) next() token {
	for {
		l.space()
		if l.pos >= len(l.text) || l.full() {
			return token{kind: tokenEnd, offset: l.pos}
		}
		start, rest, c := l.pos, l.text[l.pos:], l.text[l.pos]
		switch {
		case c == '\'' || c == '"':
			return l.quoted(c)
		case isDigit(c), c == '-' && len(rest) > 1 && isDigit(rest[1]):
			return l.numeral()
		case isLetter(c):
			return l.name()
		}
		for _, s := range symbols {
			if strings.HasPrefix(rest, s) && !strings.HasPrefix(rest, "<>") {
				l.pos += len(s)
				if s == "==" {
					s = "=" // two spellings of one operator
				}
				return token{kind: tokenSymbol, text: s, offset: start}
			}
		}
		for _, s := range slips {
			if strings.HasPrefix(rest, s.text) {
				l.pos += len(s.text)
				l.errorf(start, CodeLex, "write "+s.meant, "`%s` is not part of the language", s.text)
				return token{kind: s.kind, text: s.meant, offset: start}
			}
		}
		r, size := utf8.DecodeRuneInString(rest)
		if isCurly(r) {
			return l.curly()
		}
		l.pos += size
		switch {
		case r == utf8.RuneError && size == 1:
			l.errorf(start, CodeLex, "save the text as UTF-8", "the byte 0x%02X is not UTF-8", c)
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "//"), strings.HasPrefix(rest, "/*"), c == '#':
			l.errorf(start, CodeLex, "there are no comments in a definition: remove it", "`%c` is not part of the language", r)
			l.line()
		default:
			l.errorf(start, CodeLex, "remove it, or put it in quotes", "the character %s is not part of the language", nameOf(r))
		}
	}
}

func (l *lexer) space() {
	for l.pos < len(l.text) {
		switch l.text[l.pos] {
		case ' ', '\t', '\n', '\r':
			l.pos++
		default:
			// A pasted no-break space looks like a space, so it is one.
			if !strings.HasPrefix(l.text[l.pos:], "\u00a0") {
				return
			}
			l.pos += len("\u00a0")
		}
	}
}

func (l *lexer) line() {
	if i := strings.IndexByte(l.text[l.pos:], '\n'); i >= 0 {
		l.pos += i
	} else {
		l.pos = len(l.text)
	}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

func (l *lexer) name() token {
	start := l.pos
	for l.pos < len(l.text) && (isLetter(l.text[l.pos]) || isDigit(l.text[l.pos])) {
		l.pos++
	}
	t := token{kind: tokenName, text: l.text[start:l.pos], offset: start}
	switch t.text {
	case "AND", "and", "OR", "or", "NOT", "not", "ANY", "any", "ALL", "all":
		t.kind, t.text = tokenJunction, strings.ToUpper(t.text)
	}
	return t
}

// numeral reads a number, a date or a timestamp.
func (l *lexer) numeral() token {
	start := l.pos
	if l.looksLikeDate() {
		return l.date()
	}
	if l.text[l.pos] == '-' {
		l.pos++
	}
	l.digits()
	if l.pos+1 < len(l.text) && l.text[l.pos] == '.' && isDigit(l.text[l.pos+1]) {
		l.pos++
		l.digits()
	}
	if l.pos < len(l.text) && (l.text[l.pos] == 'e' || l.text[l.pos] == 'E') {
		if _, end, ok := parseExponent(l.text, l.pos+1); ok {
			l.pos = end
		}
	}
	t := token{kind: tokenNumber, text: l.text[start:l.pos], offset: start}
	if _, ok := parseNumber(t.text); !ok {
		l.errorf(start, CodeLex, "", "the number %s is too large, too small or too long", shorten(t.text))
		t.text = "0"
	}
	return t
}

func (l *lexer) digits() {
	for l.pos < len(l.text) && isDigit(l.text[l.pos]) {
		l.pos++
	}
}

func (l *lexer) looksLikeDate() bool {
	s := l.text[l.pos:]
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	for _, part := range []string{s[0:4], s[5:7], s[8:10]} {
		if _, ok := digits(part); !ok {
			return false
		}
	}
	return true
}

func (l *lexer) date() token {
	start := l.pos
	l.pos += 10
	kind := tokenDate
	if l.pos < len(l.text) && l.text[l.pos] == 'T' {
		kind = tokenTimestamp
		l.pos++
		for l.pos < len(l.text) && (isDigit(l.text[l.pos]) || strings.IndexByte(":.,Z+-", l.text[l.pos]) >= 0) {
			// A comma is a decimal sign only between digits; else it separates arguments.
			if l.text[l.pos] == ',' && (l.pos+1 == len(l.text) || !isDigit(l.text[l.pos+1])) {
				break
			}
			l.pos++
		}
		l.pos -= len(l.text[start:l.pos]) - len(strings.TrimRight(l.text[start:l.pos], "."))
	}
	t := token{kind: kind, text: l.text[start:l.pos], offset: start}
	instant, _, ok := parseInstant(t.text)
	switch {
	case !ok:
		l.errorf(start, CodeLex, "write a date as 2026-01-31, a time as 2026-01-31T10:00:00Z",
			"%s is not a valid date or time", shorten(t.text))
		t.text = "2000-01-01"
	case kind == tokenTimestamp:
		t.text = formatInstant(instant)
	}
	return t
}

func (l *lexer) quoted(mark byte) token {
	start := l.pos
	var b strings.Builder
	for l.pos++; l.pos < len(l.text); l.pos++ {
		c := l.text[l.pos]
		switch {
		case c == mark:
			l.pos++
			return l.checked(token{kind: tokenString, text: b.String(), offset: start})
		case c == '\\' && l.pos+1 < len(l.text) && strings.IndexByte(`'"\`, l.text[l.pos+1]) >= 0:
			l.pos++
			b.WriteByte(l.text[l.pos])
		default:
			b.WriteByte(c)
		}
	}
	l.errorf(start, CodeLex, fmt.Sprintf("add the closing %c", mark), "the string is never closed")
	return token{kind: tokenString, text: b.String(), offset: start}
}

func (l *lexer) checked(t token) token {
	switch {
	case !utf8.ValidString(t.text):
		l.errorf(t.offset, CodeLex, "save the text as UTF-8", "the string is not valid UTF-8")
	case strings.IndexByte(t.text, 0) >= 0:
		l.errorf(t.offset, CodeLex, "remove it", "the string has a NUL character in it")
	}
	return t
}

func isCurly(r rune) bool { return strings.ContainsRune("‘’‚‛“”„‟`´", r) }

// curly reads a string in the quotes that word processors put.
func (l *lexer) curly() token {
	start := l.pos
	opening, size := utf8.DecodeRuneInString(l.text[l.pos:])
	l.errorf(start, CodeLex, "use straight quotes: '…'", "%s is not a quote here", nameOf(opening))
	l.pos += size
	from := l.pos
	for i, r := range l.text[from:] {
		if isCurly(r) || r == '\'' || r == '"' {
			l.pos = from + i + utf8.RuneLen(r)
			return token{kind: tokenString, text: l.text[from : from+i], offset: start}
		}
	}
	l.pos = len(l.text)
	return token{kind: tokenString, text: l.text[from:], offset: start}
}

func nameOf(r rune) string {
	names := map[rune]string{
		'‘': "left single quotation mark", '’': "right single quotation mark",
		'“': "left double quotation mark", '”': "right double quotation mark",
		'`': "backtick", '´': "acute accent", '‚': "low single quotation mark", '„': "low double quotation mark",
	}
	switch name, ok := names[r]; {
	case ok:
		return fmt.Sprintf("%c (%U, %s)", r, r, name)
	case unicode.IsPrint(r):
		return fmt.Sprintf("%c (%U)", r, r)
	}
	return fmt.Sprintf("%U", r)
}
