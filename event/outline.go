package event

import (
	"sync"
	"unicode/utf8"
)

// Ordinary bodies are validated and taken apart in one pass over their bytes, by an
// outliner. It accepts only what [check] accepts, and gives up on whatever is wrong, odd or
// rare: such text goes the slow way, which knows what is the matter with it.

const (
	// maxSiblings is how many members an object may have for the outliner, which compares
	// each name with those before it.
	maxSiblings = 40
	// maxNames bounds the names of all objects that are open at a time.
	maxNames = 256
)

// member is a member of a message, by offsets into the text.
type member struct {
	name, nameEnd   int32
	value, valueEnd int32
	// inside is how many members the value has if it is an object.
	inside int32
}

// outline is a message or the frame of a batch, taken apart.
type outline struct {
	start, end int32 // of the message in the text
	// first and last are the members that are its own, in outliner.members.
	first, last int32
	spaced      bool // there is space between its tokens, or those of the frame
}

// outliner takes a text apart.
type outliner struct {
	raw      []byte
	members  []member
	messages []outline
	spaced   bool // there was space between tokens
	high     bool // there are bytes beyond ASCII

	names [maxNames][2]int32 // of the objects that are open
	open  int                // how many names there are
}

var outliners = sync.Pool{New: func() any { return new(outliner) }}

// newOutliner returns one for a text shorter than 2 GiB; release gives it back.
func newOutliner(raw []byte) *outliner {
	o := outliners.Get().(*outliner)
	o.raw, o.spaced, o.high, o.open = raw, false, false, 0
	o.members, o.messages = o.members[:0], o.messages[:0]
	return o
}

func (o *outliner) release() {
	o.raw = nil
	outliners.Put(o)
}

// message takes apart a text that is one message, an object.
func (o *outliner) message() (outline, bool) {
	end, _ := o.object(0, 1, true)
	return outline{0, int32(end), 0, int32(len(o.members)), o.spaced}, end == len(o.raw) && o.valid()
}

// batch takes apart the body of a batch. The outline is that of its frame: its members but
// for the messages, which are in o.messages.
func (o *outliner) batch() (outline, bool) {
	if len(o.raw) == 0 || o.raw[0] != '{' {
		return outline{}, false
	}
	var frame [8]member
	n, found := 0, false
	i := o.space(1)
	for {
		m, at := o.name(i, 0)
		if at < 0 {
			return outline{}, false
		}
		if string(o.raw[m.name:m.nameEnd]) == "batch" {
			if at >= len(o.raw) || o.raw[at] != '[' {
				return outline{}, false
			}
			found = true
			if at = o.elements(at); at < 0 {
				return outline{}, false
			}
		} else {
			if n == len(frame) {
				return outline{}, false
			}
			m.value = int32(at)
			if at, m.inside = o.value(at, 2); at < 0 {
				return outline{}, false
			}
			m.valueEnd = int32(at)
			frame[n] = m
			n++
		}
		i = o.space(at)
		if i >= len(o.raw) {
			return outline{}, false
		}
		if o.raw[i] == '}' {
			break
		}
		if o.raw[i] != ',' {
			return outline{}, false
		}
		i = o.space(i + 1)
	}
	first := int32(len(o.members))
	o.members = append(o.members, frame[:n]...)
	return outline{0, int32(i + 1), first, first + int32(n), o.spaced}, found && i+1 == len(o.raw) && o.valid()
}

// elements takes apart the messages of the array at i, and returns the place behind it.
func (o *outliner) elements(i int) int {
	i = o.space(i + 1)
	if i < len(o.raw) && o.raw[i] == ']' {
		return i + 1
	}
	for {
		if i >= len(o.raw) || o.raw[i] != '{' || len(o.messages) == MaxBatchEvents {
			return -1
		}
		start, first, around := i, len(o.members), o.spaced
		o.spaced = false
		if i, _ = o.object(i, 1, true); i < 0 {
			return -1
		}
		o.messages = append(o.messages, outline{int32(start), int32(i), int32(first), int32(len(o.members)), o.spaced})
		o.spaced = around
		i = o.space(i)
		switch {
		case i >= len(o.raw):
			return -1
		case o.raw[i] == ']':
			return i + 1
		case o.raw[i] != ',':
			return -1
		}
		i = o.space(i + 1)
	}
}

// valid completes the validation of a text whose tokens are right.
func (o *outliner) valid() bool { return !o.high || utf8.Valid(o.raw) }

// space returns the place of the first byte at i or behind it that is no space.
func (o *outliner) space(i int) int {
	for i < len(o.raw) && o.raw[i] <= ' ' {
		switch o.raw[i] {
		case ' ', '\n', '\t', '\r':
			o.spaced = true
			i++
		default:
			return i
		}
	}
	return i
}

// name reads a member's name and its colon at i, and returns the place of its value; -1 if
// it cannot. siblings is where the names of the same object begin.
func (o *outliner) name(i, siblings int) (m member, at int) {
	if i >= len(o.raw) || o.raw[i] != '"' {
		return m, -1
	}
	end, escaped := o.text(i)
	if end < 0 || escaped { // one with escapes may be the same as one without
		return m, -1
	}
	m.name, m.nameEnd = int32(i+1), int32(end-1)
	for _, sibling := range o.names[siblings:o.open] {
		if sibling[1]-sibling[0] == m.nameEnd-m.name && string(o.raw[sibling[0]:sibling[1]]) == string(o.raw[m.name:m.nameEnd]) {
			return m, -1
		}
	}
	if o.open-siblings == maxSiblings || o.open == maxNames {
		return m, -1
	}
	o.names[o.open] = [2]int32{m.name, m.nameEnd}
	o.open++
	at = end
	if at >= len(o.raw) || o.raw[at] != ':' {
		if at = o.space(at); at >= len(o.raw) || o.raw[at] != ':' {
			return m, -1
		}
	}
	return m, o.space(at + 1)
}

// object reads the object at i, and returns the place behind it and how many members it has; -1 if
// it cannot. With keep its members are added to o.members.
func (o *outliner) object(i, depth int, keep bool) (end int, inside int32) {
	if i >= len(o.raw) || o.raw[i] != '{' || depth > MaxDepth {
		return -1, 0
	}
	i = o.space(i + 1)
	if i < len(o.raw) && o.raw[i] == '}' {
		return i + 1, 0
	}
	siblings := o.open
	for {
		m, at := o.name(i, siblings)
		if at < 0 {
			return -1, 0
		}
		m.value = int32(at)
		if at, m.inside = o.value(at, depth+1); at < 0 {
			return -1, 0
		}
		m.valueEnd = int32(at)
		if keep {
			o.members = append(o.members, m)
		}
		inside++
		if i = o.space(at); i >= len(o.raw) {
			return -1, 0
		}
		switch o.raw[i] {
		case ',':
			i = o.space(i + 1)
		case '}':
			o.open = siblings
			return i + 1, inside
		default:
			return -1, 0
		}
	}
}

// array reads the array at i, and returns the place behind it; -1 if it cannot.
func (o *outliner) array(i, depth int) int {
	if depth > MaxDepth {
		return -1
	}
	i = o.space(i + 1)
	if i < len(o.raw) && o.raw[i] == ']' {
		return i + 1
	}
	for {
		if i, _ = o.value(i, depth+1); i < 0 {
			return -1
		}
		if i = o.space(i); i >= len(o.raw) {
			return -1
		}
		switch o.raw[i] {
		case ',':
			i = o.space(i + 1)
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// value reads the value at i, in an object or array that makes it lie so deep, and returns
// the place behind it; -1 if it cannot.
func (o *outliner) value(i, depth int) (end int, inside int32) {
	if i >= len(o.raw) {
		return -1, 0
	}
	switch c := o.raw[i]; c {
	case '"':
		end, _ = o.text(i)
		return end, 0
	case '{':
		return o.object(i, depth, false)
	case '[':
		return o.array(i, depth), 0
	case 't':
		return o.word(i, "true"), 0
	case 'f':
		return o.word(i, "false"), 0
	case 'n':
		return o.word(i, "null"), 0
	default:
		return o.number(i), 0
	}
}

func (o *outliner) word(i int, word string) int {
	if end := i + len(word); end <= len(o.raw) && string(o.raw[i:end]) == word {
		return end
	}
	return -1
}

// number reads a number without exponent, of few digits.
func (o *outliner) number(i int) int {
	const longest = 40
	raw := o.raw[i:min(len(o.raw), i+longest)]
	n := 0
	if n < len(raw) && raw[n] == '-' {
		n++
	}
	whole := n
	for n < len(raw) && '0' <= raw[n] && raw[n] <= '9' {
		n++
	}
	if n == whole || raw[whole] == '0' && n > whole+1 {
		return -1
	}
	if n < len(raw) && raw[n] == '.' {
		n++
		fraction := n
		for n < len(raw) && '0' <= raw[n] && raw[n] <= '9' {
			n++
		}
		if n == fraction {
			return -1
		}
	}
	if n == len(raw) || raw[n] == 'e' || raw[n] == 'E' { // too long, or cut off, or an exponent
		return -1
	}
	return i + n
}

// The classes of bytes in a text.
const (
	plain  = iota
	ends   // the quote
	escape // the backslash
	bad    // a control character
	high   // part of a character beyond ASCII
)

var classes = func() (c [256]uint8) {
	for b := range c {
		switch {
		case b == '"':
			c[b] = ends
		case b == '\\':
			c[b] = escape
		case b < ' ':
			c[b] = bad
		case b >= utf8.RuneSelf:
			c[b] = high
		}
	}
	return c
}()

// text reads the string at i, and returns the place behind it; -1 if it cannot. Whether
// its bytes beyond ASCII are UTF-8 is looked at in the end, for the whole text at once.
func (o *outliner) text(i int) (end int, escaped bool) {
	raw := o.raw
	for i++; i < len(raw); i++ {
		switch classes[raw[i]] {
		case plain:
		case ends:
			return i + 1, escaped
		case high:
			o.high = true
		case escape:
			escaped = true
			i++
			if i == len(raw) {
				return -1, true
			}
			switch raw[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if !harmlessUnit(raw[i+1:]) {
					return -1, true
				}
				i += 4
			default:
				return -1, true
			}
		default:
			return -1, true
		}
	}
	return -1, escaped
}

// harmlessUnit tells whether four hexadecimal digits are a character by themselves, and not
// NUL, which no text may contain, or half of a surrogate pair.
func harmlessUnit(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	unit := 0
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			unit = unit<<4 | int(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			unit = unit<<4 | int(c|0x20-'a'+10)
		default:
			return false
		}
	}
	return unit != 0 && (unit < 0xd800 || unit > 0xdfff)
}
