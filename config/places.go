package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"muster/query"
)

// Place is where the query of a computation stands in a file.
type Place struct {
	File  string
	line  int    // of the query's first line; 0: not known
	marks []mark // where each character of the query stands; nil: not known
}

// mark is where a character of a query stands.
type mark struct {
	offset       int // in the query, in bytes
	line, column int // in the file, columns in characters
	source       int // column in shown, from 1
	shown        string
}

// place is that of the query of an element.
func (o origin) place() Place {
	p := Place{File: o.name}
	node := o.node(o.field + ".query")
	if node == nil {
		return p
	}
	switch n := node.(type) {
	case *ast.LiteralNode:
		p.line = n.Start.Position.Line + 1
		if w, expanded := o.raw[place(n.Value.Token)]; !expanded || w.text == n.Value.Value {
			p.marks = o.align(n.Value.Value, p.line, 1, 0)
		}
	case *ast.StringNode:
		p.line = n.Token.Position.Line
		column, quote := n.Token.Position.Column, rune(0)
		if n.Token.Type == token.SingleQuoteType {
			quote = '\''
			column++
		}
		if n.Token.Type == token.DoubleQuoteType {
			quote = '"'
			column++
		}
		if w, expanded := o.raw[place(n.Token)]; !expanded || w.text == n.Value {
			p.marks = o.align(n.Value, p.line, column, quote)
		}
	default:
		p.line = node.GetToken().Position.Line
	}
	return p
}

// align finds the characters of a value in the text of the file, from a place on. White
// space may have been folded, and quotes stand for themselves after another: all else is
// written as it is. It is nil where it is not, as with escapes.
func (d *document) align(value string, line, column int, quote rune) []mark {
	lines := strings.Split(strings.ReplaceAll(d.text, "\r\n", "\n"), "\n")
	if line < 1 || line > len(lines) {
		return nil
	}
	at := cursor{lines: lines, line: line, column: column - 1, chars: []rune(lines[line-1])}
	var marks []mark
	for offset, c := range value {
		space := unicode.IsSpace(c)
		if !space && !at.skipSpace() {
			return nil
		}
		marks = append(marks, mark{offset: offset, line: at.line, column: at.column + 1})
		switch {
		case space && c != '\n' && at.char() == c:
			at.column++
		case space: // a line was folded, or ends here
		case c == '\'' && quote == c && at.char() == c:
			at.column += 2
		case quote == '"' && at.char() == '\\':
			return nil
		case at.char() == c:
			at.column++
		default:
			return nil
		}
	}
	marks = append(marks, mark{offset: len(value), line: at.line, column: at.column + 1})
	show(marks, value, lines)
	return marks
}

// cursor is a place in a text.
type cursor struct {
	lines        []string
	chars        []rune // of the line
	line, column int    // from 1, and from 0
}

// char is the character at the place; a line's end is a line feed.
func (c *cursor) char() rune {
	if c.column < len(c.chars) {
		return c.chars[c.column]
	}
	return '\n'
}

// skipSpace goes to the next character that is no white space; false: there is none.
func (c *cursor) skipSpace() bool {
	for unicode.IsSpace(c.char()) {
		if c.column++; c.column <= len(c.chars) {
			continue
		}
		if c.line++; c.line > len(c.lines) {
			return false
		}
		c.column, c.chars = 0, []rune(c.lines[c.line-1])
	}
	return true
}

// show gives the marks the part of their line that is the query's: what stands beside it
// may be secret.
func show(marks []mark, value string, lines []string) {
	first, last := make(map[int]int), make(map[int]int)
	for _, m := range marks[:len(marks)-1] { // the last is the end
		if c, _ := utf8.DecodeRuneInString(value[m.offset:]); unicode.IsSpace(c) {
			continue
		}
		if _, seen := first[m.line]; !seen {
			first[m.line] = m.column
		}
		last[m.line] = m.column
	}
	for i := range marks {
		m := &marks[i]
		from, some := first[m.line]
		if !some {
			continue
		}
		m.shown = string([]rune(lines[m.line-1])[from-1 : last[m.line]])
		m.source = max(m.column-from+1, 1)
	}
}

// Place is where the query of the computation with this key stands; of a configuration
// that LoadDefinitions has read.
func (c *Config) Place(key string) Place { return c.places[key] }

// at is where the character at an offset of the query stands.
func (p Place) at(offset int) (mark, bool) {
	for _, m := range slices.Backward(p.marks) {
		if m.offset <= offset {
			return m, m.shown != ""
		}
	}
	return mark{}, false
}

// Render is what is wrong with the query, with file, line and a caret.
func (p Place) Render(key string, found query.Diagnostics) string {
	var b strings.Builder
	for _, d := range found {
		b.WriteString(p.File)
		if m, known := p.at(d.Offset); known {
			fmt.Fprintf(&b, ":%d:%d", m.line, m.column)
			d.Source, d.Column = m.shown, m.source
		} else if p.line > 0 {
			b.WriteString(":" + strconv.Itoa(p.line+d.Line-1))
		}
		// What follows the place in a text of its own: message, line and caret.
		shown := query.Diagnostics{d}.Render()
		if _, rest, ok := strings.Cut(shown, ": "); ok {
			shown = rest
		}
		fmt.Fprintf(&b, ": %s: %s", key, shown)
	}
	return b.String()
}
