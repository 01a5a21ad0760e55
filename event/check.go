package event

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of one JSON number. PostgreSQL keeps numbers exactly, so that a few bytes
// like 1e131071 would become 128 KB of digits when read back.
const (
	maxNumberBytes    = 400
	maxNumberExponent = 400
)

// lenient accepts what is well-formed JSON though we refuse its content.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// check validates raw strictly: well-formed JSON, valid UTF-8, unique keys, at most
// MaxDepth levels, numbers in range, no NUL characters. It reports whether there is
// space between tokens, that is, whether raw is not compact.
func check(raw []byte) (spaced bool, rej *Rejection) {
	spaced, fault, at := scan(raw)
	if fault == CodeTooDeep {
		return spaced, reject(CodeTooDeep, pointerAt(raw, at),
			"objects and arrays are nested deeper than %d levels", MaxDepth)
	}
	if !jsontext.Value(raw).IsValid() {
		return spaced, explain(raw)
	}
	if fault != "" {
		return spaced, reject(fault, pointerAt(raw, at), "a number must have at most %d characters and an exponent within ±%d",
			maxNumberBytes, maxNumberExponent)
	}
	if at := indexNUL(raw); at >= 0 {
		return spaced, reject(CodeInvalidCharacter, pointerAt(raw, at),
			`text must not contain the character \u0000`)
	}
	return spaced, nil
}

// scan looks at the outline of raw in one pass, whether or not it is valid JSON. On
// excessive depth or an excessive number it stops and tells where.
func scan(raw []byte) (spaced bool, fault Code, at int) {
	depth := 0
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
			continue
		case '{', '[':
			depth++
			if depth > MaxDepth {
				return spaced, CodeTooDeep, i
			}
		case '}', ']':
			depth--
		case ' ', '\n', '\t', '\r':
			spaced = true
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			end := skipValue(raw, i)
			if fault == "" && !numberInRange(raw[i:end]) {
				fault, at = CodeNumberOutOfRange, i
			}
			i = end
			continue
		}
		i++
	}
	return spaced, fault, at
}

func numberInRange(n []byte) bool {
	if len(n) > maxNumberBytes {
		return false
	}
	e := bytes.IndexAny(n, "eE")
	if e < 0 {
		return true
	}
	exp, err := strconv.Atoi(string(n[e+1:]))
	if err != nil {
		return !errors.Is(err, strconv.ErrRange) // other faults are the validator's to tell
	}
	return -maxNumberExponent <= exp && exp <= maxNumberExponent
}

// indexNUL is the place of the first escaped NUL character in valid JSON, or -1.
func indexNUL(raw []byte) int {
	const escape = `\u0000`
	for from := 0; ; {
		i := bytes.Index(raw[from:], []byte(escape))
		if i < 0 {
			return -1
		}
		if at := from + i; !escaped(raw, at, 0) {
			return at
		}
		from += i + len(escape)
	}
}

// explain finds out why raw is not strictly valid. It is slower than the check
// itself and runs for refused text only.
func explain(raw []byte) *Rejection {
	if len(trimSpace(raw)) == 0 {
		return reject(CodeInvalidJSON, "", "the text is empty")
	}
	if err := firstFault(raw, lenient...); err != nil {
		syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
		if !ok || errors.Is(err, io.ErrUnexpectedEOF) {
			return reject(CodeInvalidJSON, "", "the JSON ends too early, after %d bytes", len(raw))
		}
		return reject(CodeInvalidJSON, string(syntax.JSONPointer), "not valid JSON at byte %d", syntax.ByteOffset)
	}
	err := firstFault(raw)
	place := ""
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		place = string(syntax.JSONPointer)
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return reject(CodeDuplicateKey, place, "the same key appears twice in one object")
	}
	return reject(CodeInvalidUTF8, place, "text must be valid UTF-8, without half surrogate pairs")
}

// errTrailing is the fault of text that goes on after its JSON value.
var errTrailing = &jsontext.SyntacticError{Err: errors.New("unexpected text after the value")}

func firstFault(raw []byte, opts ...jsontext.Options) error {
	dec := jsontext.NewDecoder(bytes.NewReader(raw), opts...)
	if _, err := dec.ReadValue(); err != nil {
		return err
	}
	end := dec.InputOffset()
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return &jsontext.SyntacticError{ByteOffset: end, Err: errTrailing.Err}
	}
	return nil
}

// pointerAt is the JSON pointer of the value in which offset lies.
func pointerAt(raw []byte, offset int) string {
	dec := jsontext.NewDecoder(bytes.NewReader(raw), lenient...)
	for dec.InputOffset() <= int64(offset) {
		if _, err := dec.ReadToken(); err != nil {
			break
		}
	}
	return string(dec.StackPointer())
}
