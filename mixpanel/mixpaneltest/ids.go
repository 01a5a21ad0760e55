package mixpaneltest

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// idText returns an id as text: strings as they are, numbers and other values as
// they are written, null and an absent value as "".
func idText(v jsontext.Value) string {
	switch {
	case v == nil, v[0] == 'n':
		return ""
	case v[0] == '"':
		return string(unquote(v))
	default:
		return string(bytes.TrimSpace(v))
	}
}

// textOnly returns the text of a JSON string, "" for everything else.
func textOnly(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	return string(unquote(v))
}

// placeholder tells whether Mixpanel takes an id for a sign that nobody was meant.
func placeholder(id string) bool {
	if len(id) > 36 {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(id)) {
	case "00000000-0000-0000-0000-000000000000", "anon", "anonymous", "nil", "none", "null",
		"n/a", "na", "undefined", "unknown", "<nil>", "0", "-1", "true", "false", "[]", "{}":
		return true
	}
	return false
}

// forbiddenProperty names what a server-side sender must not claim about the user.
func forbiddenProperty(name string) bool {
	return name == "$lib_version" || name == "$library_version" || name == "$brand"
}

// milliseconds reads a time in seconds or milliseconds since 1970; from 1e11 on it
// counts as milliseconds [assumed], which as seconds would be the year 5138.
func milliseconds(n int64) int64 {
	if -1e11 < n && n < 1e11 {
		return n * 1000
	}
	return n
}

// validText tells whether all strings in v are valid UTF-8.
func validText(v jsontext.Value) bool { return utf8.Valid(v) }

// excerpt is v for a message, cut to a readable length.
func excerpt(v []byte) string {
	s := strings.ToValidUTF8(string(v), "\uFFFD")
	if len(s) > 60 {
		s = cut(s, 57) + "..."
	}
	return s
}

// nameSet finds names that occur twice in one object; reset keeps its memory.
type nameSet struct {
	few  []string
	many map[string]bool // once there are too many for a walk
}

func (s *nameSet) reset() { s.few, s.many = s.few[:0], nil }

// add tells whether the name is new.
func (s *nameSet) add(name string) bool {
	if s.many == nil && len(s.few) == 64 {
		s.many = map[string]bool{}
		for _, n := range s.few {
			s.many[n] = true
		}
	}
	if s.many != nil {
		if s.many[name] {
			return false
		}
		s.many[name] = true
		return true
	}
	if slices.Contains(s.few, name) {
		return false
	}
	s.few = append(s.few, name)
	return true
}

// printableID is a user's id, or a group's with its key, for a message.
func printableID(id string) string {
	return excerpt([]byte(strings.ReplaceAll(id, "\x00", "/")))
}
