package mixpaneltest

import (
	"reflect"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// cut returns s within n bytes, never splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// decode turns valid JSON into nil, bool, float64, string, []any or
// map[string]any, with strings and names cut as Mixpanel stores them.
func (l *Limits) decode(v jsontext.Value) any {
	switch v[0] {
	case 'n':
		return nil
	case 't':
		return true
	case 'f':
		return false
	case '"':
		return cut(string(unquote(v)), l.StringBytes)
	case '[':
		list := []any{}
		elements(v, func(e jsontext.Value) bool {
			list = append(list, l.decode(e))
			return true
		})
		return list
	case '{':
		object := map[string]any{}
		members(v, func(name []byte, value jsontext.Value) bool {
			object[cut(string(name), l.NameBytes)] = l.decode(value)
			return true
		})
		return object
	default:
		return number(v)
	}
}

// size is the approximate length of v as JSON, by which lists that grow are bounded.
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) + 2
	case float64:
		return 8
	case []any:
		n := 2
		for _, e := range v {
			n += size(e) + 1
		}
		return n
	case map[string]any:
		n := 2
		for name, e := range v {
			n += len(name) + 4 + size(e)
		}
		return n
	default:
		return 5
	}
}

// equal tells whether two decoded values are the same value.
func equal(a, b any) bool {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return ok && a == b
	case float64:
		b, ok := b.(float64)
		return ok && a == b
	default:
		return reflect.DeepEqual(a, b)
	}
}

// clone copies a decoded value, so that no caller can reach into the server's state.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = clone(e)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, e := range v {
			object[name] = clone(e)
		}
		return object
	default:
		return v
	}
}
