package mixpanel

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// member is one name and value of an object, as they stand in the text.
type member struct {
	quoted []byte // the name with its quotes
	name   []byte // the name itself, unescaped
	value  []byte
	extent extent
	source []byte // the name in the call, where mapping gave it another
}

// objectReader hands out the members of an object one by one.
type objectReader struct {
	s       scanner
	started bool
	bad     bool
}

// readObject begins to read text, which must be an object; nil reads as one without members.
func readObject(text []byte) objectReader {
	r := objectReader{s: scanner{text: text}}
	if len(text) == 0 {
		r.s.text, r.started = []byte("}"), true
	}
	return r
}

// next reads the next member into m. At the end, and when the text is malformed (bad
// is then true), it returns false.
func (r *objectReader) next(m *member) bool {
	s := &r.s
	s.space()
	switch {
	case !r.started:
		r.started = true
		if !s.take('{') {
			return r.fail()
		}
		s.space()
		if s.take('}') {
			return r.finish()
		}
	case s.take('}'):
		return r.finish()
	default:
		if !s.take(',') {
			return r.fail()
		}
		s.space()
	}
	quoted, ok := s.name()
	if !ok {
		return r.fail()
	}
	m.quoted = quoted
	m.name = unquote(quoted)
	m.source = m.name
	from := s.at
	s.extent = extent{}
	if !s.value(1, 0) {
		return r.fail()
	}
	m.value, m.extent = s.text[from:s.at], s.extent
	return true
}

func (r *objectReader) fail() bool {
	r.bad = true
	return false
}

// finish refuses text after the end.
func (r *objectReader) finish() bool {
	r.s.space()
	r.bad = r.s.at != len(r.s.text)
	return false
}

// unquote is the text of a well-formed JSON string, sharing its bytes where it can.
func unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		text, _ := jsontext.AppendUnquote([]byte(nil), quoted)
		return text
	}
	return inner
}

// elements calls yield with each element of a well-formed list.
func elements(list []byte, yield func(value []byte)) {
	s := scanner{text: list, at: 1}
	for {
		s.space()
		if s.take(']') {
			return
		}
		s.take(',')
		s.space()
		from := s.at
		if !s.value(0, 0) {
			return
		}
		yield(s.text[from:s.at])
	}
}

func isString(v []byte) bool { return len(v) > 0 && v[0] == '"' }
func isNumber(v []byte) bool { return len(v) > 0 && (v[0] == '-' || '0' <= v[0] && v[0] <= '9') }
func isNull(v []byte) bool   { return len(v) > 0 && v[0] == 'n' }
func isList(v []byte) bool   { return len(v) > 0 && v[0] == '[' }
func isObject(v []byte) bool { return len(v) > 0 && v[0] == '{' }

// pick is the member of object with that name, or nil.
func pick(object []byte, name string) []byte {
	if !isObject(object) {
		return nil
	}
	var m member
	for r := readObject(object); r.next(&m); {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}

// scalar is value, unless it is null, empty text, a list or an object.
func scalar(value []byte) []byte {
	if isNull(value) || isList(value) || isObject(value) || string(value) == `""` {
		return nil
	}
	return value
}

// filledString is value if it is text that is not empty.
func filledString(value []byte) []byte {
	if isString(value) && string(value) != `""` {
		return value
	}
	return nil
}
