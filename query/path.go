package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// path is a way into nested objects. The segment "$" stands for each element of
// the array there.
type path []string

const each = "$"

// maxSteps keeps a walk through nested arrays cheap.
const maxSteps = 64

var (
	errTooManySteps = fmt.Errorf("a path has at most %d steps", maxSteps)
	errEmptyStep    = errors.New("a step of the path is empty")
	errLeadingEach  = errors.New("a path cannot start with $: there is no array to walk")
)

// parsePath splits text at its dots. Backslashes directly before a dot make that
// dot part of the name, however many there are: authors count them differently,
// depending on how many layers of quoting they have in mind.
func parsePath(text string) (path, error) {
	var p path
	var segment strings.Builder
	finish := func() bool {
		if segment.Len() == 0 {
			return false
		}
		p = append(p, segment.String())
		segment.Reset()
		return true
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			end := i
			for end < len(text) && text[end] == '\\' {
				end++
			}
			if end < len(text) && text[end] == '.' {
				segment.WriteByte('.')
				i = end
			} else {
				segment.WriteString(text[i:end])
				i = end - 1
			}
		case '.':
			if !finish() {
				return nil, errEmptyStep
			}
		default:
			segment.WriteByte(text[i])
		}
	}
	if !finish() {
		return nil, errEmptyStep
	}
	if len(p) > maxSteps {
		return nil, errTooManySteps
	}
	if p[0] == each {
		return nil, errLeadingEach
	}
	return p, nil
}

// String is the text that parsePath reads back.
func (p path) String() string {
	var b strings.Builder
	for i, segment := range p {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strings.ReplaceAll(segment, ".", `\.`))
	}
	return b.String()
}

// many says whether the path can yield several values.
func (p path) many() bool {
	return slices.Contains(p, each)
}

// in finds the one value at a path without "$" in a raw JSON object.
func (p path) in(raw []byte) Value {
	c := cursor{raw: raw}
	for _, segment := range p {
		if !c.member(segment) {
			return Null()
		}
	}
	return c.value()
}

// of finds the one value at a path without "$".
func (p path) of(v Value) Value {
	for _, segment := range p {
		v = v.Member(segment)
	}
	return v
}

// allIn appends every value, null excepted, at the path in a raw JSON object.
func (p path) allIn(dst []Value, raw []byte) []Value {
	if len(raw) == 0 {
		return dst
	}
	return p.allAt(dst, cursor{raw: raw})
}

func (p path) allAt(dst []Value, c cursor) []Value {
	for i, segment := range p {
		switch {
		case segment != each:
			if !c.member(segment) {
				return dst
			}
		case c.take('['):
			for c.more(']') {
				dst = p[i+1:].allAt(dst, c)
				c.skip()
			}
			return dst
		}
	}
	if v := c.value(); !v.IsNull() {
		dst = append(dst, v)
	}
	return dst
}

// allOf appends every value, null excepted, at the path in v.
func (p path) allOf(dst []Value, v Value) []Value {
	for i, segment := range p {
		if segment == each && v.Kind() == KindArray {
			for _, e := range v.Elements() {
				dst = p[i+1:].allOf(dst, e)
			}
			return dst
		}
		if segment != each { // anything but an array counts as its own single element
			v = v.Member(segment)
		}
	}
	if v.IsNull() {
		return dst
	}
	return append(dst, v)
}
