package event

import "github.com/go-json-experiment/json/jsontext"

// compact returns v without space between tokens, as a copy if spaced says that
// there may be any.
func compact(v jsontext.Value, spaced bool) jsontext.Value {
	if !spaced {
		return v
	}
	v = v.Clone()
	if err := v.Compact(); err != nil {
		panic("event: compacting validated JSON: " + err.Error())
	}
	return v
}

// merged is own with those members of base that own does not have. It goes one
// level deep: a library's name and version stay together.
func merged(own, base jsontext.Value) jsontext.Value {
	switch {
	case own == nil:
		return base
	case base == nil:
		return own
	}
	// A set, because hostile objects of thousands of members come in thousands.
	names := map[string]bool{}
	for name := range members(own) {
		names[string(name)] = true
	}
	result := own
	for name, v := range members(base) {
		if names[string(name)] {
			continue
		}
		if len(result) == len(own) {
			result = append(make(jsontext.Value, 0, len(own)+len(base)), own...)
		}
		result = appendMember(result, string(name), v)
	}
	return result
}

// withMember is a copy of the compact object obj (or of {} if nil) with one more member.
func withMember(obj jsontext.Value, name string, v jsontext.Value) jsontext.Value {
	out := append(make(jsontext.Value, 0, len(obj)+len(name)+len(v)+8), obj...)
	if len(out) == 0 {
		out = append(out, `{}`...)
	}
	return appendMember(out, name, v)
}

// appendMember extends the compact object obj in place.
func appendMember(obj jsontext.Value, name string, v jsontext.Value) jsontext.Value {
	obj = obj[:len(obj)-1]
	if len(obj) > len(`{`) {
		obj = append(obj, ',')
	}
	obj = appendQuoted(obj, name)
	obj = append(obj, ':')
	obj = append(obj, v...)
	return append(obj, '}')
}

// quoted is s as a JSON string.
func quoted(s string) jsontext.Value { return appendQuoted(nil, s) }

func appendQuoted(dst []byte, s string) []byte {
	dst, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		panic("event: quoting validated text: " + err.Error())
	}
	return dst
}
