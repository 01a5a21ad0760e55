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
	writeKey                                 jsontext.Value
	insideProperties, insideTraits           int  // how many members these objects have
	emptyGroupID                             bool // groupId is there, and ""
}

// readFields sorts the members of a message.
func readFields(raw jsontext.Value) fields {
	var r fieldReader
	for name, v := range members(raw) {
		inside := 0
		if n := string(name); n == "properties" || n == "traits" {
			inside = countMembers(v)
		}
		r.take(name, v, inside)
	}
	return r.fields()
}

// fields sorts the members of an outlined message.
func (o *outliner) fields(l outline) fields {
	var r fieldReader
	for _, m := range o.members[l.first:l.last] {
		r.take(o.raw[m.name:m.nameEnd], o.raw[m.value:m.valueEnd:m.valueEnd], int(m.inside))
	}
	return r.fields()
}

// fieldReader sorts members by their names. These are Segment's; their snake_case twins are
// understood too, and from and to in alias calls. A proper name wins over its twin.
type fieldReader struct{ f, twin fields }

// take takes a member, of whose value, if it is an object, it is told how many members it has.
func (r *fieldReader) take(name []byte, v jsontext.Value, inside int) {
	if kind := v.Kind(); kind == 'n' || len(v) == len(`""`) && kind == '"' {
		if string(name) == "groupId" || string(name) == "group_id" {
			r.f.emptyGroupID = kind == '"'
		}
		return
	}
	switch string(name) {
	case "type":
		r.f.kind = v
	case "messageId":
		r.f.messageID = v
	case "message_id":
		r.twin.messageID = v
	case "userId":
		r.f.userID = v
	case "user_id", "to":
		r.twin.userID = v
	case "anonymousId":
		r.f.anonymousID = v
	case "anonymous_id":
		r.twin.anonymousID = v
	case "previousId":
		r.f.previousID = v
	case "previous_id", "from":
		r.twin.previousID = v
	case "groupId":
		r.f.groupID = v
	case "group_id":
		r.twin.groupID = v
	case "event":
		r.f.event = v
	case "name":
		r.f.name = v
	case "category":
		r.f.category = v
	case "channel":
		r.f.channel = v
	case "properties":
		r.f.properties, r.f.insideProperties = v, inside
	case "traits":
		r.f.traits, r.f.insideTraits = v, inside
	case "writeKey":
		r.f.writeKey = v
	case "context":
		r.f.context = v
	case "integrations":
		r.f.integrations = v
	case "_metadata":
		r.f.metadata = v
	case "timestamp":
		r.f.timestamp = v
	case "originalTimestamp":
		r.f.originalTimestamp = v
	case "original_timestamp":
		r.twin.originalTimestamp = v
	case "sentAt":
		r.f.sentAt = v
	case "sent_at":
		r.twin.sentAt = v
	}
}

// fields are those that were taken.
func (r *fieldReader) fields() fields {
	f, twin := r.f, &r.twin
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
