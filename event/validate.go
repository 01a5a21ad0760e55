package event

import (
	"bytes"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// validate applies the rules of the call's type.
func (c *Call) validate(f *fields) *Rejection {
	if utf8.RuneCountInString(c.MessageID) > MaxMessageID {
		return reject(CodeMessageIDTooLong, "messageId", "messageId has more than %d characters", MaxMessageID)
	}
	if c.Type == Alias {
		return c.validateAlias()
	}
	if c.UserID == "" && c.AnonymousID == "" {
		return reject(CodeNoUserAnonID, "userId", "userId or anonymousId is required")
	}
	switch c.Type {
	case Track:
		if c.Event == "" {
			return reject(CodeMissingEvent, "event", "track needs the name of the event, as text")
		}
		if len(c.Event) > MaxEventNameBytes {
			return reject(CodeEventNameTooLong, "event", "the event's name has more than %d bytes", MaxEventNameBytes)
		}
	case Identify:
		if f.insideTraits > MaxIdentifyTraits {
			return reject(CodeTooManyTraits, "traits", "identify has more than %d traits", MaxIdentifyTraits)
		}
	case Group:
		return c.validateGroup(f.emptyGroupID)
	case Page, Screen, Alias:
	}
	return nil
}

func (c *Call) validateAlias() *Rejection {
	if c.UserID == "" {
		return reject(CodeNoUserAnonID, "userId", "alias needs a userId")
	}
	if c.PreviousID == "" {
		return reject(CodeNoUserAnonID, "previousId", "alias needs a previousId")
	}
	return nil
}

func (c *Call) validateGroup(emptyGroupID bool) *Rejection {
	switch {
	case c.GroupID == "" && emptyGroupID:
		return reject(CodeEmptyGroupID, "groupId", "groupId is empty")
	case c.GroupID == "":
		return reject(CodeNoUserAnonID, "groupId", "group needs a groupId")
	case utf8.RuneCountInString(c.GroupID) > MaxGroupID:
		return reject(CodeGroupIDTooLong, "groupId", "groupId has more than %d characters", MaxGroupID)
	}
	return nil
}

// profileSkip is the reason why profiles must not read the call, or "".
func (c *Call) profileSkip(f *fields) Code {
	switch {
	case c.personasDisabled():
		return CodePersonasDisabled
	case c.Properties != nil && f.insideProperties > MaxMembers:
		return CodeTooManyProperties
	case c.Traits != nil && f.insideTraits > MaxMembers:
		return CodeTooManyTraits
	}
	return ""
}

// personasDisabled reports whether the client has switched profiles off for the call: in its
// integrations, or in those of its context, as calls have them that were computed of a
// profile. What is computed must not come round and be computed with.
func (c *Call) personasDisabled() bool {
	if disablesPersonas(c.Integrations) {
		return true
	}
	return bytes.Contains(c.Context, []byte(`ersonas"`)) && disablesPersonas(find(c.Context, "integrations"))
}

func disablesPersonas(integrations jsontext.Value) bool {
	for name, v := range members(integrations) {
		if (string(name) == "Personas" || string(name) == "personas") && v.Kind() == 'f' {
			return true
		}
	}
	return false
}
