package event

import "github.com/go-json-experiment/json/jsontext"

// fields are the raw values of a message; nil when absent, null or "".
type fields struct {
	kind, messageID                          jsontext.Value
	userID, anonymousID, previousID, groupID jsontext.Value
	event, name, category, channel           jsontext.Value
	properties, traits                       jsontext.Value
	context, integrations, metadata          jsontext.Value
	timestamp, originalTimestamp, sentAt     jsontext.Value
	emptyGroupID                             bool // groupId is there, and ""
}

// readFields sorts the members of a message. The names are Segment's; their
// snake_case twins are understood too, and from and to in alias calls. A proper
// name wins over its twin.
func readFields(raw jsontext.Value) fields {
	var f, twin fields
	for name, v := range members(raw) {
		if kind := v.Kind(); kind == 'n' || len(v) == len(`""`) && kind == '"' {
			if string(name) == "groupId" || string(name) == "group_id" {
				f.emptyGroupID = kind == '"'
			}
			continue
		}
		switch string(name) {
		case "type":
			f.kind = v
		case "messageId":
			f.messageID = v
		case "message_id":
			twin.messageID = v
		case "userId":
			f.userID = v
		case "user_id", "to":
			twin.userID = v
		case "anonymousId":
			f.anonymousID = v
		case "anonymous_id":
			twin.anonymousID = v
		case "previousId":
			f.previousID = v
		case "previous_id", "from":
			twin.previousID = v
		case "groupId":
			f.groupID = v
		case "group_id":
			twin.groupID = v
		case "event":
			f.event = v
		case "name":
			f.name = v
		case "category":
			f.category = v
		case "channel":
			f.channel = v
		case "properties":
			f.properties = v
		case "traits":
			f.traits = v
		case "context":
			f.context = v
		case "integrations":
			f.integrations = v
		case "_metadata":
			f.metadata = v
		case "timestamp":
			f.timestamp = v
		case "originalTimestamp":
			f.originalTimestamp = v
		case "original_timestamp":
			twin.originalTimestamp = v
		case "sentAt":
			f.sentAt = v
		case "sent_at":
			twin.sentAt = v
		}
	}
	f.messageID = either(f.messageID, twin.messageID)
	f.userID = either(f.userID, twin.userID)
	f.anonymousID = either(f.anonymousID, twin.anonymousID)
	f.previousID = either(f.previousID, twin.previousID)
	f.groupID = either(f.groupID, twin.groupID)
	f.originalTimestamp = either(f.originalTimestamp, twin.originalTimestamp)
	f.sentAt = either(f.sentAt, twin.sentAt)
	return f
}

func either(a, b jsontext.Value) jsontext.Value {
	if a != nil {
		return a
	}
	return b
}
