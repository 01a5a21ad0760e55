package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The types of external ids that are found in every call. Any other type may come
// in context.externalIds.
const (
	UserID           = "user_id"
	Email            = "email"
	AnonymousID      = "anonymous_id"
	AndroidID        = "android.id"
	AndroidIDFA      = "android.idfa"
	AndroidPushToken = "android.push_token"
	IOSID            = "ios.id"
	IOSIDFA          = "ios.idfa"
	IOSPushToken     = "ios.push_token"
	GAClientID       = "ga_client_id"
)

// MaxIDLength is the greatest length of an id's value, in characters.
const MaxIDLength = 255

// MaxTypeLength is the greatest length of the name of an id's type, in characters.
const MaxTypeLength = 100

// ID is one external id: a name that a customer's systems have for a person.
// Two IDs are the same if they are equal after [ID.Normal].
type ID struct {
	Type  string // lower case, such as "user_id" or "email"
	Value string
}

// String is the form for people, "user_id:kim".
func (id ID) String() string { return id.Type + ":" + id.Value }

// Normal is the form in which ids are compared and stored: the type in lower case,
// an email trimmed and in lower case, every other value as it is, byte for byte.
func (id ID) Normal() ID {
	id.Type = strings.ToLower(strings.TrimSpace(id.Type))
	if id.Type == Email {
		id.Value = strings.ToLower(strings.TrimSpace(id.Value))
	}
	return id
}

// malformed says why an id in normal form can never be one, or "".
// A value that PostgreSQL's text cannot hold must not get as far as the store.
func (id ID) malformed() string {
	switch {
	case id.Type == "":
		return "the type is empty"
	case utf8.RuneCountInString(id.Type) > MaxTypeLength:
		return "the type is longer than 100 characters"
	case !utf8.ValidString(id.Type) || strings.ContainsFunc(id.Type, unicode.IsControl):
		return "the type holds control characters"
	case !utf8.ValidString(id.Value) || strings.ContainsRune(id.Value, 0):
		return "the value is not text"
	}
	return ""
}

// storable is the id in a form in which its violation can be kept and shown.
func (id ID) storable() ID {
	clean := func(s string, most int) string {
		s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
		if runes := []rune(s); len(runes) > most {
			s = string(runes[:most])
		}
		return s
	}
	return ID{Type: clean(id.Type, MaxTypeLength), Value: clean(id.Value, MaxIDLength)}
}
