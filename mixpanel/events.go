package mixpanel

import (
	"strconv"
	"strings"
	"time"
)

// notSent tells of properties that the mapper sets itself, or that would make Mixpanel
// do something else than record the event.
func notSent(name string) bool {
	switch name {
	case "token", "distinct_id", "time", "$insert_id", "ip", "$user_id", "$device_id", "mp_note", "mp_name_tag", "mp_lib":
		return true
	}
	return false
}

const sourceNameProperty = "segment_source_name"

var (
	sourceNameKey  = []byte(sourceNameProperty)
	nameKey        = []byte("name")
	categoryKey    = []byte("category")
	unknownLibrary = []byte("unknown")
)

// Limits of one event.
const (
	maxEventNames     = 254     // properties, and names of one object
	maxEventList      = 254     // elements of one list
	maxEventListBytes = 8 << 10 // Mixpanel does not say what it does beyond, so it is only noted
	maxText           = 255     // bytes of a text before Mixpanel cuts it
)

func (d *draft) track() error {
	if strings.TrimSpace(d.call.Event) == "" {
		return reject(CodeNoEventName, "event must be a non-blank string")
	}
	return d.events([]string{d.call.Event}, "", "")
}

// events emits one event per name, then the profile records that they cause. name and
// category are those of a page, "" otherwise.
func (d *draft) events(names []string, name, category string) error {
	if r := d.settlePerson(); r != nil {
		return r
	}
	if d.call.MessageID == "" {
		return reject(CodeNoMessageID, "messageId is required: Mixpanel recognises repeated events by it")
	}
	if err := d.readProperties(); err != nil {
		return err
	}
	if err := d.writeShared(name, category); err != nil {
		return err
	}
	endpoint := Import
	if d.autoTrack && d.recent {
		endpoint = Track
	}
	d.out = make([]Message, 0, len(names))
	for _, n := range names {
		warnings := d.warnings | d.person.warnings
		if len(n) > maxText {
			warnings |= WarnTruncated
		}
		id := d.insertID(n)
		d.content = append(d.content[:0], `{"event":`...)
		d.content = appendString(d.content, n)
		d.content = append(d.content, `,"properties":{"$insert_id":"`...)
		d.content = append(d.content, id...)
		d.content = append(d.content, '"')
		d.emit(Message{
			Endpoint: endpoint, Class: ClassEvent, DistinctID: d.person.distinctID,
			InsertID: id, Warnings: warnings,
		}, d.content, d.shared)
	}
	if d.people {
		d.consequences(names)
	}
	return d.tooLarge()
}

// readProperties collects the call's properties. Nulls say nothing and are left out,
// except in what the engine computed: there a null is the news.
func (d *draft) readProperties() error {
	var m member
	r := readObject(d.call.Properties)
	for r.next(&m) {
		if isNull(m.value) && !d.context.computed {
			continue
		}
		d.properties = append(d.properties, m)
	}
	if r.bad {
		return malformed("properties")
	}
	return nil
}

// property is the first of the call's properties with that name, or nil.
func (d *draft) property(name string) []byte {
	for i := range d.properties {
		if string(d.properties[i].name) == name {
			return d.properties[i].value
		}
	}
	return nil
}

// writeShared writes the properties that all events of the call have: ours, then the call's, then
// what its context tells, then its context.traits. Of two with one name the first stays.
func (d *draft) writeShared(name, category string) error {
	b := append(d.shared[:0], `,"token":`...)
	b = append(b, d.token...)
	b = appendStringMember(b, "distinct_id", d.person.distinctID)
	b = appendMember(b, "time", d.millis)
	b = appendMember(b, "ip", d.eventIP())
	count := 6 // with $insert_id and mp_lib
	library := unknownLibrary
	if d.context.library != nil {
		library = d.context.library[1 : len(d.context.library)-1]
	}
	b = append(b, `,"mp_lib":"Segment: `...)
	b = append(b, library...)
	b = append(b, '"')
	if d.person.user != "" {
		b = appendStringMember(b, "$user_id", d.person.user)
		count++
	}
	if d.person.device != "" {
		b = appendStringMember(b, "$device_id", d.person.device)
		count++
	}
	d.names.reset()
	if d.sourceName != nil {
		b = appendMember(b, sourceNameProperty, d.sourceName)
		d.names.add(sourceNameKey)
		count++
	}
	if name != "" {
		b = appendStringMember(b, "name", name)
		d.names.add(nameKey)
		count++
	}
	if category != "" {
		b = appendStringMember(b, "category", category)
		d.names.add(categoryKey)
		count++
	}

	var err error
	write := func(m *member) {
		if notSent(string(m.name)) || !d.names.add(m.name) {
			return
		}
		count++
		if e := d.checkEventMember(m); e != nil && err == nil {
			err = e
		}
		b = append(b, ',')
		b = append(b, m.quoted...)
		b = append(b, ':')
		b = appendValue(b, m.value, m.extent)
	}
	for i := range d.properties {
		if count > maxEventNames {
			break
		}
		write(&d.properties[i])
	}
	if d.context.facts[referrer] == nil {
		d.context.facts[referrer] = scalar(d.property("referrer"))
	}
	for i := range eventContext {
		n := &eventContext[i]
		value := d.context.facts[n.fact]
		if value == nil || !n.applies(d.context.platform) || !d.names.add(n.key) {
			continue
		}
		count++
		b = appendMember(b, n.name, value)
	}
	if d.context.traits != nil {
		if !d.superTraits() {
			return malformed("context.traits")
		}
		for i := range d.traits {
			if count > maxEventNames {
				break
			}
			write(&d.traits[i])
		}
	}
	d.shared = append(b, "}}"...)
	if err == nil && count > maxEventNames {
		return reject(CodeTooManyNames, "the event has more than "+strconv.Itoa(maxEventNames)+" properties, counting those that the mapping adds")
	}
	return err
}

// eventIP is the address that Mixpanel shall locate the event by; 0 stops it from
// locating the machine that sends the request.
func (d *draft) eventIP() []byte {
	if d.context.ip != nil {
		return d.context.ip
	}
	if ip := filledString(d.property("ip")); ip != nil {
		return ip
	}
	return noLocation
}

// checkEventMember holds a property against Mixpanel's limits and notes what is odd about it.
func (d *draft) checkEventMember(m *member) error {
	switch string(m.name) {
	case "length", "bucket", "$bucket":
		d.warnings |= WarnReservedName
	case "$ignore":
		d.warnings |= WarnIgnored
	}
	d.noteValue(m)
	if m.extent.bytes > maxEventListBytes {
		d.warnings |= WarnLargeList
	}
	switch {
	case m.extent.list > maxEventList:
		return reject(CodeListTooLong, "property "+string(m.quoted)+" has a list of "+strconv.Itoa(m.extent.list)+
			" elements; Mixpanel takes "+strconv.Itoa(maxEventList))
	case m.extent.names > maxEventNames:
		return reject(CodeObjectTooLarge, "property "+string(m.quoted)+" has an object of "+strconv.Itoa(m.extent.names)+
			" names; Mixpanel takes "+strconv.Itoa(maxEventNames))
	}
	return nil
}

// noteValue notes what Mixpanel will not keep as it is.
func (d *draft) noteValue(m *member) {
	if isString(m.value) && len(m.value) > maxText+2 && len(unquote(m.value)) > maxText {
		d.warnings |= WarnTruncated
	}
	if m.extent.objects > maxObjects {
		d.warnings |= WarnFlattened
	}
}

func appendMillis(dst []byte, t time.Time) []byte {
	return strconv.AppendInt(dst, t.UnixMilli(), 10)
}
