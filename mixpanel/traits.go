package mixpanel

import (
	"bytes"
)

// special is a trait that Mixpanel knows under a name of its own.
type special uint8

const (
	created special = iota
	email
	firstName
	lastName
	fullName
	username
	phone
	specialCount
)

// specialNames are Mixpanel's names.
var specialNames = [specialCount]string{
	created: "$created", email: "$email", firstName: "$first_name", lastName: "$last_name",
	fullName: "$name", username: "$username", phone: "$phone",
}

// specialQuoted are specialNames as JSON strings.
var specialQuoted = func() (quoted [specialCount][]byte) {
	for s, name := range specialNames {
		quoted[s] = appendString(nil, name)
	}
	return quoted
}()

// traitToken is what a trait named token is called: token itself means the project.
var traitToken = []byte(`"trait_token"`)

// specialKeys finds a special trait by its name in lower case without separators.
var specialKeys = map[string]special{
	"created": created, "createdat": created, "email": email, "firstname": firstName,
	"lastname": lastName, "name": fullName, "username": username, "phone": phone,
}

// spellings are the names that win over others for the same special trait, best first.
var spellings = map[string]int{
	"created": 1, "createdAt": 2, "created_at": 3,
	"email": 1, "firstName": 1, "lastName": 1, "name": 1, "username": 1, "phone": 1,
}

const otherSpelling = 4

// specialOf recognises a special trait however it is spelled; rank orders the
// spellings, best first, and is 0 when name is none.
func specialOf(name []byte) (s special, rank int) {
	const longest, separators = len("createdat"), 4
	if len(name) == 0 || len(name) > longest+separators || name[0] == '$' {
		return 0, 0
	}
	var key [longest]byte
	n := 0
	for _, c := range name {
		switch {
		case c == ' ' || c == '_' || c == '-' || c == '.':
			continue
		case n == longest:
			return 0, 0
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		key[n] = c
		n++
	}
	s, known := specialKeys[string(key[:n])]
	if !known {
		return 0, 0
	}
	rank = spellings[string(name)]
	if rank == 0 {
		rank = otherSpelling
	}
	return s, rank
}

// isSpecialName tells whether name is Mixpanel's name of a special trait.
func isSpecialName(name []byte) bool {
	for _, n := range specialNames {
		if n == string(name) {
			return true
		}
	}
	return false
}

// mapTraits reads traits into d.traits under Mixpanel's names. A name that begins with
// "$" comes first, so that it wins over a special trait that maps to it. Nulls are left out unless
// asked for. false: malformed.
func (d *draft) mapTraits(text []byte, nulls bool) bool {
	d.traits = d.traits[:0]
	var best [specialCount]struct {
		rank int
		m    member
	}
	var token member
	var m member
	r := readObject(text)
	for r.next(&m) {
		null := isNull(m.value)
		if null && !nulls {
			continue
		}
		if s, rank := specialOf(m.name); rank > 0 {
			if null {
				rank += otherSpelling // any value is better
			}
			if b := &best[s]; b.rank == 0 || rank < b.rank {
				b.rank, b.m = rank, m
			}
			continue
		}
		if string(m.name) == "token" {
			token = m
			continue
		}
		d.traits = append(d.traits, m)
	}
	for s := range best {
		if b := &best[s]; b.rank > 0 && (special(s) != created || creationDate(&b.m)) {
			d.traits = append(d.traits, renamed(b.m, specialQuoted[s]))
		}
	}
	if token.value != nil {
		d.traits = append(d.traits, renamed(token, traitToken))
	}
	return !r.bad
}

// renamed is m under another name, given with its quotes.
func renamed(m member, quoted []byte) member {
	m.quoted = quoted
	m.name = unquote(quoted)
	return m
}

// creationDate writes m's value as a date; false when it is none.
func creationDate(m *member) bool {
	if isNull(m.value) {
		return true
	}
	at, ok := readInstant(m.value)
	if ok {
		m.value = appendDate(nil, at)
	}
	return ok
}

// deriveName adds $name when the first and the last name are known and no name is.
func (d *draft) deriveName() {
	var first, last []byte
	for i := range d.traits {
		m := &d.traits[i]
		switch string(m.name) {
		case "$name":
			return
		case "$first_name":
			first = filledString(m.value)
		case "$last_name":
			last = filledString(m.value)
		}
	}
	if first == nil || last == nil {
		return
	}
	full := bytes.Join([][]byte{first[:len(first)-1], last[1:]}, []byte(" "))
	d.traits = append(d.traits, renamed(member{value: full}, specialQuoted[fullName]))
}

// superTraits reads context.traits into d.traits as properties of events: what a browser would
// have registered as super properties. false: malformed.
func (d *draft) superTraits() bool {
	if !d.mapTraits(d.context.traits, false) {
		return false
	}
	kept := d.traits[:0]
	for _, m := range d.traits {
		if !d.allTraits && !d.superProperties[string(m.source)] && !d.superProperties[string(m.name)] {
			continue
		}
		if notSent(string(m.name)) {
			continue
		}
		if d.legacySuper && (len(m.name) == 0 || m.name[0] != '$') {
			m.name = append([]byte("$"), m.name...)
			m.quoted = appendString(nil, string(m.name))
			// A trait named ignore must not make Mixpanel drop the event.
			if string(m.name) == "$ignore" {
				continue
			}
		}
		kept = append(kept, m)
	}
	d.traits = kept
	return true
}
