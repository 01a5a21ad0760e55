package event

import (
	"bytes"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// The walker below steps over JSON that has been validated before. On other text it
// stays within bounds and ends, but what it yields means nothing.

// cursor steps through an object or an array.
type cursor struct {
	raw        []byte
	next       int    // where the next member or element begins; -1 at the end
	name       []byte // of the current member, without quotes and escapes
	start, end int    // the current value
}

// open starts at the value in raw if it begins with the bracket.
func open(raw []byte, bracket byte) cursor {
	c := cursor{raw: raw, next: -1}
	if i := skipSpace(raw, 0); i < len(raw) && raw[i] == bracket {
		c.next = skipSpace(raw, i+1)
	}
	return c
}

// member moves to the next member of an object.
func (c *cursor) member() bool {
	if c.next < 0 || c.next >= len(c.raw) || c.raw[c.next] != '"' {
		return false
	}
	end := skipString(c.raw, c.next)
	c.name = unquoted(c.raw[c.next:end])
	end = skipSpace(c.raw, end)
	if end >= len(c.raw) || c.raw[end] != ':' {
		return false
	}
	c.value(skipSpace(c.raw, end+1))
	return true
}

// element moves to the next element of an array.
func (c *cursor) element() bool {
	if c.next < 0 || c.next >= len(c.raw) || c.raw[c.next] == ']' {
		return false
	}
	c.value(c.next)
	return true
}

// value takes the value at start and finds the next one.
func (c *cursor) value(start int) {
	c.start, c.end, c.next = start, skipValue(c.raw, start), -1
	if i := skipSpace(c.raw, c.end); i < len(c.raw) && c.raw[i] == ',' {
		c.next = skipSpace(c.raw, i+1)
	}
}

// current is the raw value that the cursor stands on.
func (c *cursor) current() jsontext.Value { return c.raw[c.start:c.end:c.end] }

// members yields the members of a JSON object: the name without quotes and escapes,
// and the raw value. On anything but an object it yields nothing.
func members(obj jsontext.Value) iter.Seq2[[]byte, jsontext.Value] {
	return func(yield func([]byte, jsontext.Value) bool) {
		for c := open(obj, '{'); c.member(); {
			if !yield(c.name, c.current()) {
				return
			}
		}
	}
}

// elements yields the raw elements of a JSON array, nothing for other values.
func elements(arr jsontext.Value) iter.Seq[jsontext.Value] {
	return func(yield func(jsontext.Value) bool) {
		for c := open(arr, '['); c.element(); {
			if !yield(c.current()) {
				return
			}
		}
	}
}

// find is the value of the member called name, or nil.
func find(obj jsontext.Value, name string) jsontext.Value {
	for n, v := range members(obj) {
		if string(n) == name {
			return v
		}
	}
	return nil
}

// countMembers is the number of members of an object, 0 for other values.
func countMembers(obj jsontext.Value) int {
	n := 0
	for range members(obj) {
		n++
	}
	return n
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// trimSpace cuts the space around a JSON text; what else Unicode calls space is no
// space in JSON.
func trimSpace(b []byte) []byte {
	b = b[skipSpace(b, 0):]
	for len(b) > 0 && skipSpace(b, len(b)-1) == len(b) {
		b = b[:len(b)-1]
	}
	return b
}

// skipString returns the place after the string whose opening quote is at i.
func skipString(b []byte, i int) int {
	for at := i + 1; ; at++ {
		n := bytes.IndexByte(b[at:], '"')
		if n < 0 {
			return len(b)
		}
		at += n
		if !escaped(b, at, i+1) {
			return at + 1
		}
	}
}

// escaped reports whether the byte at i stands behind an odd number of backslashes,
// looking no further back than start.
func escaped(b []byte, i, start int) bool {
	n := 0
	for i-1-n >= start && b[i-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// skipValue returns the place after the value that begins at i.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(b)
	}
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ':', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}

// unquoted is the text of a raw JSON string. It shares memory with it when there
// is nothing to unescape.
func unquoted(raw []byte) []byte {
	if len(raw) < 2 {
		return nil
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return inner
	}
	return text
}
