package scenario

import (
	"errors"
	"strings"

	"muster/identity"
)

// refTypes are the kinds of ids that a scenario can name, with their prefixes.
var refTypes = [...]struct{ prefix, idType string }{
	{"user:", identity.UserID},
	{"anon:", identity.AnonymousID},
	{"email:", identity.Email},
}

// ParseRef reads the name of an id: anon:ID, email:ADDRESS, user:ID, or a bare word,
// which is a user id too.
func ParseRef(text string) (identity.ID, error) {
	id := identity.ID{Type: identity.UserID, Value: text}
	for _, t := range refTypes {
		if value, ok := strings.CutPrefix(text, t.prefix); ok {
			id = identity.ID{Type: t.idType, Value: value}
			break
		}
	}
	if id = id.Normal(); id.Value == "" {
		return identity.ID{}, errors.New("the id is empty")
	}
	return id, nil
}

// refText is the id with its prefix, as `to` has it.
func refText(id identity.ID) string {
	for _, t := range refTypes {
		if t.idType == id.Type {
			return t.prefix + id.Value
		}
	}
	return id.String()
}

// nameOf is how a difference names a profile: by its user id, else its email, else
// whatever it has, the other ids in brackets.
func nameOf(ids []identity.ID) string {
	if len(ids) == 0 {
		return "a profile without ids"
	}
	best := 0
	for i, id := range ids {
		if rank(id) < rank(ids[best]) {
			best = i
		}
	}
	name := refText(ids[best])
	var others []string
	for i, id := range ids {
		if i != best {
			others = append(others, refText(id))
		}
	}
	if len(others) > 0 {
		name += " [" + strings.Join(others, ", ") + "]"
	}
	return name
}

func rank(id identity.ID) int {
	switch id.Type {
	case identity.UserID:
		return 0
	case identity.Email:
		return 1
	case identity.AnonymousID:
		return 2
	}
	return 3
}
