package query

import (
	"slices"
	"sort"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/shopspring/decimal"
)

// Kind is the JSON type of a [Value].
type Kind uint8

// The kinds of JSON.
const (
	KindNull Kind = iota
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// Value is a JSON value whose numbers are exact decimals. The zero Value is null.
// Values are immutable.
type Value struct {
	kind Kind
	exp  int32 // of a small number
	coef int64 // of a small number; 1 for true
	text string
	rest *remainder
}

// remainder holds what few values need.
type remainder struct {
	big   *decimal.Decimal // a number whose coefficient needs more than 64 bits
	elems []Value          // of an array, or an object's values
	keys  []string         // an object's keys, sorted
}

// Null is JSON null, which means the same as a missing value.
func Null() Value { return Value{} }

// Bool is true or false.
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.coef = 1
	}
	return v
}

// Int is a whole number.
func Int(n int64) Value { return Value{kind: KindNumber, coef: n} }

// Number is a decimal number.
func Number(d decimal.Decimal) Value { return numeric(numberOf(d)) }

func numeric(n number) Value {
	v := Value{kind: KindNumber, coef: n.coef, exp: n.exp}
	if n.big != nil {
		v.rest = &remainder{big: n.big}
	}
	return v
}

// Text is a string.
func Text(s string) Value { return Value{kind: KindString, text: s} }

// List is an array. It keeps vs.
func List(vs []Value) Value { return Value{kind: KindArray, rest: &remainder{elems: vs}} }

// object makes an object of keys in any order; of equal keys the first one counts.
func object(keys []string, elems []Value) Value {
	r := &remainder{keys: keys, elems: elems}
	if !slices.IsSorted(keys) {
		sort.Stable(r)
	}
	kept := 0
	for i, key := range r.keys {
		if i > 0 && key == r.keys[kept-1] {
			continue
		}
		r.keys[kept], r.elems[kept] = key, r.elems[i]
		kept++
	}
	r.keys, r.elems = r.keys[:kept], r.elems[:kept]
	return Value{kind: KindObject, rest: r}
}

// Len, Less and Swap order an object's members by key.
func (r *remainder) Len() int           { return len(r.keys) }
func (r *remainder) Less(i, j int) bool { return r.keys[i] < r.keys[j] }
func (r *remainder) Swap(i, j int) {
	r.keys[i], r.keys[j] = r.keys[j], r.keys[i]
	r.elems[i], r.elems[j] = r.elems[j], r.elems[i]
}

// Kind is the value's JSON type.
func (v Value) Kind() Kind { return v.kind }

// IsNull says whether the value is null, that is, missing.
func (v Value) IsNull() bool { return v.kind == KindNull }

// AsBool is true for the boolean true only.
func (v Value) AsBool() bool { return v.kind == KindBool && v.coef == 1 }

// AsText is the text that comparisons of text, mode and unique see: strings as
// they are, true or false, the shortest form of a number, and compact JSON with
// sorted keys for arrays and objects. Null has the empty text.
func (v Value) AsText() string {
	switch v.kind {
	case KindNull:
		return ""
	case KindString:
		return v.text
	case KindBool:
		if v.coef == 1 {
			return "true"
		}
		return "false"
	case KindNumber, KindArray, KindObject:
	}
	return string(v.AppendJSON(nil))
}

// Decimal is the value as a number: JSON numbers, and strings that look like one.
func (v Value) Decimal() (decimal.Decimal, bool) {
	n, ok := v.number()
	if !ok {
		return decimal.Decimal{}, false
	}
	return n.decimal(), true
}

func (v Value) number() (number, bool) {
	switch v.kind {
	case KindNumber:
		n := number{coef: v.coef, exp: v.exp}
		if v.rest != nil {
			n.big = v.rest.big
		}
		return n, true
	case KindString:
		return parseNumber(v.text)
	case KindNull, KindBool, KindArray, KindObject:
	}
	return number{}, false
}

// Elements are the elements of an array, nil for every other kind. They must not
// be changed.
func (v Value) Elements() []Value {
	if v.kind != KindArray {
		return nil
	}
	return v.rest.elems
}

// Member is the value under key in an object; null if there is none.
func (v Value) Member(key string) Value {
	if v.kind == KindObject {
		if i, ok := slices.BinarySearch(v.rest.keys, key); ok {
			return v.rest.elems[i]
		}
	}
	return Null()
}

// Keys are the sorted keys of an object, nil for every other kind. They must not
// be changed.
func (v Value) Keys() []string {
	if v.kind != KindObject {
		return nil
	}
	return v.rest.keys
}

// Equal says whether both are the same JSON value: 60 equals 60.0, but not "60".
// It decides whether a trait has changed.
func (v Value) Equal(w Value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case KindNull:
		return true
	case KindBool:
		return v.coef == w.coef
	case KindString:
		return v.text == w.text
	case KindNumber:
		a, _ := v.number()
		b, _ := w.number()
		return a.compare(b) == 0
	case KindArray, KindObject:
	}
	return slices.Equal(v.rest.keys, w.rest.keys) && slices.EqualFunc(v.rest.elems, w.rest.elems, Value.Equal)
}

// AppendJSON appends the canonical JSON text: no spaces, sorted keys, shortest
// numbers. Equal values have equal texts.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case KindNull:
		return append(dst, "null"...)
	case KindBool:
		return append(dst, v.AsText()...)
	case KindNumber:
		n, _ := v.number()
		return n.append(dst)
	case KindString:
		return appendQuoted(dst, v.text)
	case KindArray:
		dst = append(dst, '[')
		for i, e := range v.rest.elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.AppendJSON(dst)
		}
		return append(dst, ']')
	case KindObject:
	}
	dst = append(dst, '{')
	for i, e := range v.rest.elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, v.rest.keys[i]), ':')
		dst = e.AppendJSON(dst)
	}
	return append(dst, '}')
}

func appendQuoted(dst []byte, s string) []byte {
	// The only error is invalid UTF-8, which AppendQuote has then already replaced.
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// String is the canonical JSON text.
func (v Value) String() string { return string(v.AppendJSON(nil)) }

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(raw []byte) error {
	parsed, err := ParseValue(raw)
	if err == nil {
		*v = parsed
	}
	return err
}
