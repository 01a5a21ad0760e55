package mixpanel

import (
	"crypto/sha1" // what a version 5 UUID is made of
	"strings"

	"github.com/google/uuid"

	"muster/event"
)

// devicePrefix marks the distinct id of somebody anonymous under simplified id merge.
const devicePrefix = "$device:"

// refusedID tells whether Mixpanel takes id for a mistake of the client.
func refusedID(id string) bool {
	switch strings.ToLower(id) {
	case "00000000-0000-0000-0000-000000000000", "anon", "anonymous", "nil", "none", "null",
		"n/a", "na", "undefined", "unknown", "<nil>", "0", "-1", "true", "false", "[]", "{}":
		return true
	}
	return false
}

// person is how Mixpanel shall know whoever made a call.
type person struct {
	distinctID string // what events and profile records are addressed to
	user       string // "" for somebody anonymous
	device     string // the anonymous id, "" when there is none or Mixpanel refuses it
	warnings   Warnings
}

// personOf chooses the ids of a call: the user id if there is one, else the anonymous id.
func personOf(c *event.Call, simplified bool) (person, *Rejection) {
	p := person{user: strings.TrimSpace(c.UserID), device: strings.TrimSpace(c.AnonymousID)}
	if simplified {
		p.device = strings.TrimPrefix(p.device, devicePrefix)
	}
	switch {
	case p.user != "":
		p.distinctID = p.user
	case p.device != "":
		p.distinctID = p.device
	default:
		return p, reject(CodeNoDistinctID, "userId or anonymousId is required")
	}
	if refusedID(p.distinctID) {
		return p, &Rejection{
			Code:   CodeBadDistinctID,
			Reason: "distinct_id " + string(appendString(nil, p.distinctID)) + " is a placeholder that Mixpanel refuses",
			Hint:   "the client sends it in place of a missing userId or anonymousId",
		}
	}
	// A placeholder as device id would link everybody who has it to one user.
	if refusedID(p.device) {
		p.device, p.warnings = "", WarnDeviceID
	}
	if simplified && p.user == "" {
		p.distinctID = devicePrefix + p.device
	}
	return p, nil
}

// DefaultInsertIDNamespace is the namespace of $insert_id: the version 5 UUID of
// "mixpanel.com" in the DNS namespace.
const DefaultInsertIDNamespace = "92322da4-9fad-581d-9be4-0cba4b7cfd19"

// insertID derives the id by which Mixpanel recognises a repeated event: the version 5 UUID
// of "messageId:projectId:eventName". The event's name is part of it because one
// page call can become several events.
func insertID(namespace [16]byte, messageID, projectID, eventName string) string {
	var room [192]byte
	text := append(room[:0], namespace[:]...)
	text = append(text, messageID...)
	text = append(text, ':')
	text = append(text, projectID...)
	text = append(text, ':')
	text = append(text, eventName...)
	sum := sha1.Sum(text)
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	return uuid.UUID(sum[:16]).String()
}

// isUUIDv4 tells whether id has the form that $identify demands of an anonymous id.
func isUUIDv4(id string) bool {
	if len(id) != 36 || id[14] != '4' || !strings.ContainsRune("89abAB", rune(id[19])) {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}
