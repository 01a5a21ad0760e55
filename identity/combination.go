package identity

import (
	"fmt"
	"strings"
)

// Combination is a set of ids that one call to a destination carries: a user_id or an
// anonymous_id, with or without an email.
type Combination struct {
	UserID      string
	AnonymousID string
	Email       string
}

// Key is the combination as one text, the same for ever, by which what was told is
// kept: "user:kim|email:kim@example.net". A backslash stands before any | and \ of the
// values, so that no two combinations have one key.
func (c Combination) Key() string {
	var b strings.Builder
	for _, part := range c.parts() {
		if *part.value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('|')
		}
		b.WriteString(part.name)
		b.WriteByte(':')
		b.WriteString(escape.Replace(*part.value))
	}
	return b.String()
}

// String is the key.
func (c Combination) String() string { return c.Key() }

var escape = strings.NewReplacer(`\`, `\\`, `|`, `\|`)

// ParseCombination reads a [Combination.Key].
func ParseCombination(key string) (Combination, error) {
	var c Combination
	bad := func(why string) (Combination, error) {
		return Combination{}, fmt.Errorf("identity: %q is not the key of an id combination: %s", key, why)
	}
	if key == "" {
		return c, nil
	}
	parts := c.parts()
	next := 0
	for rest, more := key, true; more; {
		var field string
		field, rest, more = cutField(rest)
		name, value, _ := strings.Cut(field, ":")
		for next < len(parts) && parts[next].name != name {
			next++
		}
		if next == len(parts) {
			return bad("its parts are user, anon and email, in this order")
		}
		*parts[next].value = unescape.Replace(value)
		next++
	}
	if c.Key() != key {
		return bad("a value is empty or not escaped")
	}
	return c, nil
}

var unescape = strings.NewReplacer(`\\`, `\`, `\|`, `|`)

// cutField splits a key behind its first field, at a | that is not escaped.
func cutField(key string) (field, rest string, more bool) {
	for i := 0; i < len(key); i++ {
		switch key[i] {
		case '\\':
			i++
		case '|':
			return key[:i], key[i+1:], true
		}
	}
	return key, "", false
}

// part is a named place of a combination.
type part struct {
	name  string
	value *string
}

// parts are the places of the combination in the order of its key.
func (c *Combination) parts() [3]part {
	return [3]part{{"user", &c.UserID}, {"anon", &c.AnonymousID}, {"email", &c.Email}}
}
