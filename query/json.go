package query

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// ParseValue reads one JSON value. Numbers beyond 10^400 (either way) or longer
// than 1000 characters become text, for nothing can be computed with them.
func ParseValue(raw []byte) (Value, error) {
	if !jsontext.Value(raw).IsValid() {
		return Null(), fmt.Errorf("not a JSON value: %.60q", raw)
	}
	c := cursor{raw: raw}
	return c.value(), nil
}

// cursor walks over JSON that has been validated when it came in. On text that is
// not valid after all it sees less, never out of bounds.
type cursor struct {
	raw []byte
	pos int
}

func (c *cursor) space() {
	for c.pos < len(c.raw) {
		switch c.raw[c.pos] {
		case ' ', '\t', '\r', '\n':
			c.pos++
		default:
			return
		}
	}
}

// take moves over b, after space, if it comes next.
func (c *cursor) take(b byte) bool {
	c.space()
	if c.pos < len(c.raw) && c.raw[c.pos] == b {
		c.pos++
		return true
	}
	return false
}

// quoted moves over a string and returns it with its quotes; nil if there is none.
func (c *cursor) quoted() []byte {
	c.space()
	if c.pos >= len(c.raw) || c.raw[c.pos] != '"' {
		return nil
	}
	start := c.pos
	for i := c.pos + 1; i < len(c.raw); i++ {
		switch c.raw[i] {
		case '\\':
			i++
		case '"':
			c.pos = i + 1
			return c.raw[start:c.pos]
		}
	}
	c.pos = len(c.raw)
	return nil
}

// skip moves over one value.
func (c *cursor) skip() {
	c.space()
	for depth := 0; c.pos < len(c.raw); {
		switch c.raw[c.pos] {
		case '"':
			c.quoted()
		case '{', '[':
			depth++
			c.pos++
			continue
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
			c.pos++
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return
			}
			c.pos++
			continue
		default:
			c.scalar()
		}
		if depth == 0 {
			return
		}
	}
}

// scalar moves over a number, true, false or null.
func (c *cursor) scalar() []byte {
	start := c.pos
	for c.pos < len(c.raw) {
		switch c.raw[c.pos] {
		case ',', ':', '}', ']', '{', '[', '"', ' ', '\t', '\r', '\n':
			return c.raw[start:c.pos]
		}
		c.pos++
	}
	return c.raw[start:]
}

// value reads one value.
func (c *cursor) value() Value {
	c.space()
	if c.pos >= len(c.raw) {
		return Null()
	}
	switch c.raw[c.pos] {
	case '"':
		return Text(unquote(c.quoted()))
	case '[':
		c.pos++
		elems := []Value{}
		for c.more(']') {
			elems = append(elems, c.value())
		}
		return List(elems)
	case '{':
		c.pos++
		var keys []string
		var elems []Value
		for c.more('}') {
			key := c.quoted()
			if !c.take(':') {
				break
			}
			keys = append(keys, unquote(key))
			elems = append(elems, c.value())
		}
		return object(keys, elems)
	}
	switch text := c.scalar(); string(text) {
	case "true":
		return Bool(true)
	case "false":
		return Bool(false)
	case "null", "":
		return Null()
	default:
		if n, ok := parseNumber(text); ok {
			return numeric(n)
		}
		return Text(string(text))
	}
}

// more says whether another element follows before the closing bracket, and moves
// over the comma or the bracket.
func (c *cursor) more(closing byte) bool {
	if c.take(closing) {
		return false
	}
	c.take(',')
	c.space()
	// Progress is certain: an element consumes at least a byte, unless a bracket
	// of the wrong kind stands here, and then the text is not JSON.
	return c.pos < len(c.raw) && !bytes.ContainsRune([]byte("}],:"), rune(c.raw[c.pos]))
}

// member moves to the value of key, with the cursor at an object.
func (c *cursor) member(key string) bool {
	if !c.take('{') {
		return false
	}
	for c.more('}') {
		name := c.quoted()
		if !c.take(':') {
			return false
		}
		if named(name, key) {
			return true
		}
		c.skip()
	}
	return false
}

func named(quoted []byte, key string) bool {
	if len(quoted) < 2 {
		return false
	}
	if bytes.IndexByte(quoted, '\\') >= 0 {
		return unquote(quoted) == key
	}
	return string(quoted[1:len(quoted)-1]) == key
}

func unquote(quoted []byte) string {
	if len(quoted) < 2 {
		return ""
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	text, _ := jsontext.AppendUnquote(nil, quoted)
	return string(text)
}
