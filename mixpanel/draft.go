package mixpanel

import (
	"time"

	"muster/event"
)

// draft is one call on its way through the mapper, with the buffers that the next call reuses.
type draft struct {
	*Mapper
	call *event.Call

	person   person
	at       time.Time
	millis   []byte // at as Mixpanel writes times
	recent   bool   // /track still takes events of this age
	context  circumstances
	told     bool // the call has a context
	warnings Warnings

	properties []member // of the call, nulls left out
	traits     []member // after mapping their names
	names      nameSet
	elements   nameSet

	shared  []byte // what all events of the call have in common
	base    []byte // what all profile records of the call begin with
	content []byte // the operation being written
	second  []byte // another one
	scratch []byte

	out []Message
}

// release drops everything that belongs to the call.
func (d *draft) release() {
	clear(d.properties)
	clear(d.traits)
	d.properties, d.traits = d.properties[:0], d.traits[:0]
	d.names.reset()
	d.elements.reset()
	if d.told {
		d.context, d.told = circumstances{}, false
	}
	d.call, d.person, d.out, d.warnings = nil, person{}, nil, 0
}

// maxTrackAge is how old an event may be for /track.
const maxTrackAge = 5 * 24 * time.Hour

// fill maps the call.
func (d *draft) fill(now time.Time) error {
	if d.call.Type == UnsetProperty {
		return d.unsetProperty()
	}
	d.at, d.warnings = momentOf(d.call, now)
	if r := tooOld(d.at, now); r != nil {
		return r
	}
	d.recent = now.Sub(d.at) <= maxTrackAge
	d.millis = appendMillis(d.millis[:0], d.at)
	if len(d.call.Context) > 0 {
		d.told = true
		if !d.context.readContext(d.call.Context) {
			return malformed("context")
		}
		// Taking properties back is nobody's action, whatever the settings say.
		if d.computedTouch && d.context.computed && !d.context.cleanup {
			d.context.inactive = false
		}
	}
	switch d.call.Type {
	case event.Track:
		return d.track()
	case event.Page:
		return d.page("Page")
	case event.Screen:
		return d.page("Screen")
	case event.Identify:
		return d.identify()
	case event.Group:
		return d.group()
	case event.Alias:
		return d.alias()
	}
	return reject(CodeUnknownType, "a call of type "+string(appendString(nil, string(d.call.Type)))+" is not known")
}

// settlePerson settles the ids of the call.
func (d *draft) settlePerson() *Rejection {
	var r *Rejection
	d.person, r = personOf(d.call, d.idMerge == MergeSimplified)
	return r
}

// emit adds a message whose body is the concatenation of parts.
func (d *draft) emit(m Message, parts ...[]byte) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	m.Body = make([]byte, 0, size)
	for _, p := range parts {
		m.Body = append(m.Body, p...)
	}
	d.out = append(d.out, m)
}

// maxRecordBytes is the size of one record below which Mixpanel takes it: 1 MB.
const maxRecordBytes = 1_000_000

// tooLarge rejects the call when one of its records is over Mixpanel's limit.
func (d *draft) tooLarge() error {
	for i := range d.out {
		if len(d.out[i].Body) >= maxRecordBytes {
			return reject(CodeTooLarge, "the record for "+string(d.out[i].Endpoint)+" is larger than 1 MB")
		}
	}
	return nil
}

// insertID derives the $insert_id of one of the call's events.
func (d *draft) insertID(eventName string) string {
	return insertID(d.namespace, d.call.MessageID, d.projectID, eventName)
}
