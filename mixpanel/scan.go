package mixpanel

import "unicode/utf8"

// The mapper moves most of a call's JSON to the record untouched. So it does not
// decode: it walks the text once, checks it, and hands out names and values as they stand.

// maxNesting is how deep containers may be nested; deeper text counts as malformed.
const maxNesting = 10_000

// extent is what the mapper must know about a value to hold it against Mixpanel's limits.
type extent struct {
	objects int // how deep objects are nested: 0 without any
	list    int // elements of the longest list
	bytes   int // of the largest list
	names   int // names in the largest object
}

// scanner walks a JSON text.
type scanner struct {
	text   []byte
	at     int
	extent extent // of the value last walked over
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// take steps over c, if it is next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// value steps over one value. false: malformed.
func (s *scanner) value(nesting, objects int) bool {
	if s.at >= len(s.text) {
		return false
	}
	switch c := s.text[s.at]; c {
	case '"':
		return s.str()
	case '{':
		return s.object(nesting+1, objects+1)
	case '[':
		return s.list(nesting+1, objects)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) word(w string) bool {
	if len(s.text)-s.at < len(w) || string(s.text[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

func (s *scanner) object(nesting, objects int) bool {
	if nesting > maxNesting {
		return false
	}
	s.extent.objects = max(s.extent.objects, objects)
	s.at++
	s.space()
	if s.take('}') {
		return true
	}
	for names := 1; ; names++ {
		s.extent.names = max(s.extent.names, names)
		if _, ok := s.name(); !ok || !s.value(nesting, objects) {
			return false
		}
		s.space()
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
		s.space()
	}
}

// name steps over a name, its colon and the space around, and returns the name with its
// quotes.
func (s *scanner) name() (quoted []byte, ok bool) {
	from := s.at
	if s.at >= len(s.text) || s.text[s.at] != '"' || !s.str() {
		return nil, false
	}
	quoted = s.text[from:s.at]
	s.space()
	if !s.take(':') {
		return nil, false
	}
	s.space()
	return quoted, true
}

func (s *scanner) list(nesting, objects int) bool {
	if nesting > maxNesting {
		return false
	}
	from := s.at
	s.at++
	s.space()
	if s.take(']') {
		return true
	}
	for elements := 1; ; elements++ {
		s.extent.list = max(s.extent.list, elements)
		if !s.value(nesting, objects) {
			return false
		}
		s.space()
		if s.take(']') {
			s.extent.bytes = max(s.extent.bytes, s.at-from)
			return true
		}
		if !s.take(',') {
			return false
		}
		s.space()
	}
}

// plain marks the bytes of a string that need no look at their neighbours.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func (s *scanner) str() bool {
	text, i := s.text, s.at+1
	for i < len(text) {
		c := text[i]
		switch {
		case plain[c]:
			i++
		case c == '"':
			s.at = i + 1
			return true
		case c == '\\':
			n := escape(text[i:])
			if n == 0 {
				return false
			}
			i += n
		case c < 0x20:
			return false
		default:
			r, n := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && n == 1 {
				return false
			}
			i += n
		}
	}
	return false
}

// escape is the length of the escape at the start of text, 0 if malformed. A surrogate
// must be half of a pair; alone it is no character.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		unit, ok := hex4(text[2:])
		switch {
		case !ok:
			return 0
		case unit < 0xd800 || unit > 0xdfff:
			return 6
		case unit >= 0xdc00 || len(text) < 12 || text[6] != '\\' || text[7] != 'u':
			return 0
		}
		if low, ok := hex4(text[8:]); !ok || low < 0xdc00 || low > 0xdfff {
			return 0
		}
		return 12
	}
	return 0
}

func hex4(text []byte) (unit int, ok bool) {
	if len(text) < 4 {
		return 0, false
	}
	for _, c := range text[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | int(c)
	}
	return unit, true
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}
