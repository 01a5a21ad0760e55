package mixpanel

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// appendString writes s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			dst, _ = jsontext.AppendQuote(dst, s)
			return dst
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// appendMember writes `,"name":value`; name needs no escaping.
func appendMember(dst []byte, name string, value []byte) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return append(dst, value...)
}

// appendStringMember is appendMember for a text.
func appendStringMember(dst []byte, name, value string) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return appendString(dst, value)
}

// appendDate writes t as Mixpanel's date type: UTC, whole seconds, no zone.
func appendDate(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, "2006-01-02T15:04:05")
	return append(dst, '"')
}

// maxObjects is how many levels of objects Mixpanel keeps below a property.
const maxObjects = 3

// appendValue writes a well-formed value. Objects below the third level, which
// Mixpanel refuses, become text that holds their JSON.
func appendValue(dst, value []byte, e extent) []byte {
	if e.objects <= maxObjects {
		return append(dst, value...)
	}
	level := 0
	for i := 0; i < len(value); {
		switch c := value[i]; {
		case c == '{' && level == maxObjects:
			s := scanner{text: value, at: i}
			s.value(0, 0)
			text := jsontext.Value(append([]byte(nil), value[i:s.at]...))
			// The scanner has found the text well-formed; at worst it stays as it is.
			_ = text.Compact(jsontext.AllowDuplicateNames(true))
			dst = appendString(dst, string(text))
			i = s.at
		case c == '"':
			s := scanner{text: value, at: i}
			s.str()
			dst = append(dst, value[i:s.at]...)
			i = s.at
		default:
			switch c {
			case '{':
				level++
			case '}':
				level--
			}
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// appendNumber writes a finite number the shortest way.
func appendNumber(dst []byte, f float64) []byte {
	const exact = 1 << 53
	if f == float64(int64(f)) && f > -exact && f < exact {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// nameSet remembers the names already written to an object: the first one wins.
type nameSet struct {
	few  [][]byte
	many map[string]struct{} // used once there are too many to search
}

const fewNames = 48

func (n *nameSet) reset() {
	clear(n.few)
	n.few = n.few[:0]
	if len(n.many) > 0 {
		n.many = nil
	}
}

// add puts name into the set, unless it is there.
func (n *nameSet) add(name []byte) bool {
	if n.many == nil {
		for _, known := range n.few {
			if string(known) == string(name) {
				return false
			}
		}
		if len(n.few) < fewNames {
			n.few = append(n.few, name)
			return true
		}
		n.many = make(map[string]struct{}, 4*fewNames)
		for _, known := range n.few {
			n.many[string(known)] = struct{}{}
		}
	}
	if _, known := n.many[string(name)]; known {
		return false
	}
	n.many[string(name)] = struct{}{}
	return true
}
