package mixpaneltest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// syntax is what a body is parsed with. Invalid UTF-8 and repeated names are let
// through here because they are faults of one record, not of the request.
var syntax = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

var errNotRecords = errors.New("the data is neither a list of records nor a record")

// splitArray returns the elements of the JSON array in body, or its only element
// and single = true if body is one object. The elements alias body and are valid
// JSON, so that walking them needs no further checks.
func splitArray(body []byte) (records []jsontext.Value, single bool, err error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), syntax...)
	switch dec.PeekKind() {
	case '{':
		if err := dec.SkipValue(); err != nil {
			return nil, false, err
		}
		records, single = []jsontext.Value{bytes.TrimSpace(body[:dec.InputOffset()])}, true
	case '[':
		if _, err := dec.ReadToken(); err != nil {
			return nil, false, err
		}
		for dec.PeekKind() != ']' {
			v, err := dec.ReadValue()
			if err != nil {
				return nil, false, err
			}
			end := int(dec.InputOffset())
			records = append(records, body[end-len(v):end:end])
		}
		if _, err := dec.ReadToken(); err != nil {
			return nil, false, err
		}
	default:
		if _, err := dec.ReadValue(); err != nil && !errors.Is(err, io.EOF) {
			return nil, false, err
		}
		return nil, false, errNotRecords
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, false, errors.New("there is something behind the end of the data")
	}
	return records, single, nil
}

// splitLines returns the JSON values of a newline-delimited body.
func splitLines(body []byte) (records []jsontext.Value, err error) {
	n := 0
	for line := range bytes.Lines(body) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if !jsontext.Value(line).IsValid(syntax...) {
			return nil, fmt.Errorf("line %d is not JSON", n)
		}
		records = append(records, line)
	}
	return records, nil
}

// members calls f for each member of the valid JSON object v, until f returns
// false. The name is unquoted; it and the value may alias v.
func members(v jsontext.Value, f func(name []byte, value jsontext.Value) bool) {
	i := skipSpace(v, 1)
	for v[i] != '}' {
		end := skipString(v, i)
		name := unquote(v[i:end])
		i = skipSpace(v, skipSpace(v, end)+1) // behind the colon
		end = skipValue(v, i)
		if !f(name, v[i:end:end]) {
			return
		}
		if i = skipSpace(v, end); v[i] == ',' {
			i = skipSpace(v, i+1)
		}
	}
}

// elements calls f for each element of the valid JSON array v, until f returns false.
func elements(v jsontext.Value, f func(value jsontext.Value) bool) {
	i := skipSpace(v, 1)
	for v[i] != ']' {
		end := skipValue(v, i)
		if !f(v[i:end:end]) {
			return
		}
		if i = skipSpace(v, end); v[i] == ',' {
			i = skipSpace(v, i+1)
		}
	}
}

func skipSpace(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t' {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			if i++; depth == 0 {
				return i
			}
		}
	default:
		for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
			i++
		}
		return i
	}
}

// nesting is how many lists and objects are around the innermost value of v.
func nesting(v jsontext.Value) int {
	depth, most := 0, 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			i = skipString(v, i) - 1
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		}
	}
	return most
}

// unquote returns the text of the valid JSON string v; it aliases v unless there
// are escapes or invalid UTF-8, which becomes U+FFFD.
func unquote(v []byte) []byte {
	inner := v[1 : len(v)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner
	}
	text, _ := jsontext.AppendUnquote(nil, v) // the error only repeats that U+FFFD was put in
	return text
}

// number returns the value of the valid JSON number v. Mixpanel's numbers are
// 64-bit floats; what is larger becomes the largest of them.
func number(v []byte) float64 {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		f = max(min(f, largestFloat), -largestFloat)
	}
	return f
}

const largestFloat = 0x1.fffffffffffffp+1023

// integer returns the value of v if it is written as a JSON integer.
func integer(v []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil
}

// interner keeps one copy of each property and event name, of which a million
// profiles share a few.
type interner struct {
	mu    sync.RWMutex
	names map[string]string
}

// internedNames bounds an interner against names that are really values.
const internedNames = 100_000

func (in *interner) intern(b []byte) string {
	in.mu.RLock()
	s, ok := in.names[string(b)]
	in.mu.RUnlock()
	if ok {
		return s
	}
	s = string(b)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.names == nil {
		in.names = map[string]string{}
	}
	if len(in.names) < internedNames {
		in.names[s] = s
	}
	return s
}
