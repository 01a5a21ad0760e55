package mixpanel

import "strings"

// associationEvent carries both ids to a project with simplified id merge, which links
// them by any event that has them and refuses identity events.
const associationEvent = "Identity Association"

// alias tells Mixpanel that the previous id and the user id are one person.
func (d *draft) alias() error {
	from := strings.TrimSpace(d.call.PreviousID)
	if from == "" {
		from = strings.TrimSpace(d.call.AnonymousID)
	}
	to := strings.TrimSpace(d.call.UserID)
	switch {
	case from == "" || to == "":
		return reject(CodeAliasIncomplete, "alias needs userId and previousId (or anonymousId)")
	case from == to:
		return nil
	}
	for _, id := range [...]string{from, to} {
		if refusedID(id) {
			return reject(CodeBadDistinctID, "distinct_id "+string(appendString(nil, id))+" is a placeholder that Mixpanel refuses")
		}
	}
	if d.idMerge == MergeSimplified {
		return d.associate(strings.TrimPrefix(from, devicePrefix), to)
	}
	b := append(d.content[:0], `{"event":"$create_alias","properties":{"distinct_id":`...)
	b = appendString(b, from)
	b = appendStringMember(b, "alias", to)
	b = appendMember(b, "token", d.token)
	d.content = append(b, "}}"...)
	d.emit(Message{Endpoint: Track, Class: ClassIdentity, DistinctID: from}, d.content)
	return nil
}

func (d *draft) associate(device, user string) error {
	if d.call.MessageID == "" {
		return reject(CodeNoMessageID, "messageId is required: Mixpanel recognises repeated events by it")
	}
	id := d.insertID(associationEvent)
	b := append(d.content[:0], `{"event":"`+associationEvent+`","properties":{"$insert_id":"`...)
	b = append(b, id...)
	b = append(b, '"')
	b = appendMember(b, "token", d.token)
	b = appendStringMember(b, "distinct_id", user)
	b = appendMember(b, "time", d.millis)
	b = appendMember(b, "ip", noLocation)
	b = appendStringMember(b, "$user_id", user)
	b = appendStringMember(b, "$device_id", device)
	d.content = append(b, "}}"...)
	d.emit(Message{Endpoint: Import, Class: ClassEvent, DistinctID: user, InsertID: id, Warnings: d.warnings}, d.content)
	return nil
}

// link emits the identity event that precedes an identify under original id merge.
// Mixpanel ignores $identify, without a word, unless the anonymous id is a version 4
// UUID; anything else takes $merge, which can not be undone.
func (d *draft) link() {
	user, device := d.person.user, d.person.device
	if user == "" || device == "" || user == device {
		return
	}
	endpoint := Import
	b := d.content[:0]
	if isUUIDv4(device) {
		endpoint = Track
		b = append(b, `{"event":"$identify","properties":{"$identified_id":`...)
		b = appendString(b, user)
		b = appendStringMember(b, "$anon_id", device)
	} else {
		b = append(b, `{"event":"$merge","properties":{"$distinct_ids":[`...)
		b = appendString(b, user)
		b = append(b, ',')
		b = appendString(b, device)
		b = append(b, ']')
	}
	b = appendMember(b, "token", d.token)
	d.content = append(b, "}}"...)
	d.emit(Message{Endpoint: endpoint, Class: ClassIdentity, DistinctID: user}, d.content)
}
