package mixpaneltest

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// eventRecord is one record of /import or /track, as far as the rules need it.
type eventRecord struct {
	index  int
	record jsontext.Value

	name       string
	named      bool
	token      string
	distinctID string
	hasID      bool // distinct_id is there, if only as ""
	insertID   string
	hasInsert  bool
	user       string
	device     string

	time     int64 // Unix milliseconds
	hasTime  bool
	badTime  bool // it is there and not an integer
	geo      GeoSource
	ignore   bool
	identity identityEvent
	overdue  bool // the server set the time (strict=0, or too far ahead on /track)

	shape *FailedRecord // the first fault of the properties that has nothing to do with ids and time
}

// identityEvent holds the two ids of $identify, $create_alias or $merge: the one
// that stays and the one that is joined to it.
type identityEvent struct {
	kind      string // "" for other events
	id, other string
}

const (
	eventIdentify    = "$identify"
	eventCreateAlias = "$create_alias"
	eventMerge       = "$merge"
)

func isIdentity(name string) bool {
	return name == eventIdentify || name == eventCreateAlias || name == eventMerge
}

// FailedRecord is one element of failed_records in an answer of /import.
type FailedRecord struct {
	Index    int    `json:"index"`
	InsertID string `json:"insert_id"`
	Field    string `json:"field"`
	Message  string `json:"message"`
}

// parseEvent reads one record and notes in c which rules it breaks that Mixpanel
// does not answer with a failure.
func (c *call) parseEvent(index int, record jsontext.Value) (e eventRecord) {
	e.index, e.record = index, record
	limits := &c.server.options.Limits
	if record.Kind() != '{' {
		return e
	}
	if len(record) >= limits.RecordBytes {
		c.violate(index, RuleOversize, fmt.Sprintf("the event has %d bytes", len(record)))
		e.fault("properties", fmt.Sprintf("'properties' is invalid: the event must be smaller than %d bytes", limits.RecordBytes))
	}
	valid := validText(record)
	var properties jsontext.Value
	c.keys.reset()
	members(record, func(name []byte, v jsontext.Value) bool {
		if !c.keys.add(c.server.names.intern(name)) {
			c.violate(index, RuleDuplicateName, fmt.Sprintf("the event has %q twice", name))
		}
		switch string(name) {
		case "event":
			if v.Kind() == '"' {
				text := unquote(v)
				e.name, e.named = limits.name(text, &c.server.names), len(text) > 0
			}
			if !valid && !utf8.Valid(v) {
				e.fault("event", "'event' is invalid: string should be valid utf8")
			}
		case "properties":
			properties = v
		default:
			c.violate(index, RuleUnknownKey, fmt.Sprintf("the event has the key %q", name))
		}
		return true
	})
	if isIdentity(e.name) {
		e.identity.kind = e.name
	}
	if properties.Kind() != '{' {
		e.fault("properties", "'properties' is invalid: must be an object")
		return e
	}
	c.parseProperties(&e, properties, valid)
	return e
}

func (c *call) parseProperties(e *eventRecord, properties jsontext.Value, valid bool) {
	limits := &c.server.options.Limits
	var ip jsontext.Value
	var alias, identified, anonymous string
	var both []string
	n := 0
	c.properties.reset()
	members(properties, func(key []byte, v jsontext.Value) bool {
		n++
		name := c.server.names.intern(key)
		if !c.properties.add(name) {
			c.violate(e.index, RuleDuplicateName, fmt.Sprintf("the properties have %q twice", key))
		}
		if !valid && !utf8.Valid(v) {
			e.fault("properties."+name, "'properties."+name+"' is invalid: string should be valid utf8")
		}
		switch name {
		case "token":
			e.token = idText(v)
		case "time":
			if e.hasTime = v.Kind() != 'n'; e.hasTime {
				t, ok := integer(v)
				if !ok {
					c.violate(e.index, RuleTimeNotInteger, "time is "+excerpt(v))
				}
				e.time, e.badTime = milliseconds(t), !ok
			}
		case "distinct_id":
			e.distinctID, e.hasID = idText(v), v.Kind() != 'n'
		case "$insert_id":
			e.insertID, e.hasInsert = idText(v), v.Kind() != 'n'
		case "$user_id":
			e.user = idText(v)
		case "$device_id":
			e.device = idText(v)
		case "ip":
			ip = v
		case "$ignore":
			e.ignore = v.Kind() != 'n' && v.Kind() != 'f'
		case "alias":
			alias = idText(v)
		case "$identified_id":
			identified = idText(v)
		case "$anon_id":
			anonymous = idText(v)
		case "$distinct_ids":
			if v.Kind() == '[' {
				elements(v, func(id jsontext.Value) bool {
					both = append(both, idText(id))
					return len(both) <= 2
				})
			}
		default:
			if forbiddenProperty(name) {
				c.violate(e.index, RuleForbidden, "the event has "+name)
			}
		}
		if k := v.Kind(); k == '{' || k == '[' {
			if problem := limits.checkComposite(v, 0); problem != "" {
				e.fault("properties", fmt.Sprintf("'properties' is invalid: %s: %s", name, problem))
			}
		}
		return true
	})
	if n > limits.EventProperties {
		e.fault("properties", fmt.Sprintf("'properties' is invalid: must have at most %d properties", limits.EventProperties))
	}
	switch e.identity.kind {
	case eventCreateAlias:
		e.identity.id, e.identity.other = e.distinctID, alias
	case eventIdentify:
		e.identity.id, e.identity.other = identified, anonymous
	case eventMerge:
		if len(both) == 2 {
			e.identity.id, e.identity.other = both[0], both[1]
		}
	default:
		e.geo = geoOf(ip, c.locate)
	}
}

// checkComposite holds a list or an object in an event to the limits; depth is how
// many objects are around it.
func (l *Limits) checkComposite(v jsontext.Value, depth int) (problem string) {
	n := 0
	inner := func(e jsontext.Value) bool {
		n++
		if k := e.Kind(); k == '{' || k == '[' {
			problem = l.checkComposite(e, depth)
		}
		return problem == ""
	}
	if v[0] == '[' {
		if len(v) > l.ListBytes {
			return fmt.Sprintf("a list must have at most %d bytes", l.ListBytes)
		}
		elements(v, inner)
		if problem == "" && n > l.ListElements {
			return fmt.Sprintf("a list must have at most %d elements", l.ListElements)
		}
		return problem
	}
	if depth++; depth > l.ObjectDepth {
		return fmt.Sprintf("objects must be nested at most %d deep", l.ObjectDepth)
	}
	members(v, func(_ []byte, e jsontext.Value) bool { return inner(e) })
	if problem == "" && n > l.ObjectKeys {
		return fmt.Sprintf("an object must have at most %d keys", l.ObjectKeys)
	}
	return problem
}

func (e *eventRecord) fault(field, message string) {
	if e.shape == nil {
		e.shape = e.failure(field, message)
	}
}

func (e *eventRecord) failure(field, message string) *FailedRecord {
	return &FailedRecord{
		Index: e.index, InsertID: strings.ToValidUTF8(e.insertID, "\uFFFD"),
		Field: strings.ToValidUTF8(field, "\uFFFD"), Message: strings.ToValidUTF8(message, "\uFFFD"),
	}
}

// missing is the wording that the live API uses for an absent field.
func (e *eventRecord) missing(field string) *FailedRecord {
	return e.failure(field, "'"+field+"' is invalid: must not be missing")
}

var year1971 = time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// judgeImport returns why /import refuses the event, or nil. strict tells whether
// the request asked for it; without it Mixpanel mends what it can.
func (e *eventRecord) judgeImport(l *Limits, mode IDMerge, strict bool, now time.Time) *FailedRecord {
	if !e.named {
		return e.missing("event")
	}
	if e.identity.kind != "" {
		return e.judgeIdentity()
	}
	const seconds = "'properties.time' is invalid: must be specified as seconds since epoch"
	switch {
	case !e.hasTime:
		return e.missing("properties.time")
	case e.badTime || e.time < year1971:
		return e.failure("properties.time", seconds)
	case e.time > now.Add(l.Future).UnixMilli():
		// The documents say "rejected" in one sentence and "overwritten with the present"
		// in the next; we take one for each value of strict [assumed].
		if strict {
			return e.failure("properties.time", seconds)
		}
		e.time, e.overdue = now.UnixMilli(), true
	}
	switch {
	case !e.hasID && (mode != Simplified || e.user == "" && e.device == ""):
		return e.missing("properties.distinct_id")
	case placeholder(e.distinctID):
		return e.failure("properties.distinct_id", "'properties.distinct_id' is invalid: must not be a placeholder such as 'null' or 'anonymous'")
	}
	switch {
	case !e.hasInsert || e.insertID == "":
		if strict {
			return e.missing("$insert_id")
		}
		e.insertID, e.hasInsert = "", false
	case len(e.insertID) > 36:
		return e.failure("$insert_id", "'$insert_id' is invalid: must have at most 36 bytes")
	case placeholder(e.insertID):
		return e.failure("$insert_id", "'$insert_id' is invalid: must not be a placeholder such as 'null' or '0'")
	case !plainID(e.insertID):
		return e.failure("$insert_id", "'$insert_id' is invalid: must only contain alphanumeric or hyphen '-' characters")
	}
	return e.shape
}

// judgeTrack returns why /track refuses the event, or nil. It asks for much less
// than /import.
func (e *eventRecord) judgeTrack(l *Limits, now time.Time) *FailedRecord {
	switch {
	case !e.named:
		return e.failure("event", "event, missing or empty")
	case e.token == "":
		return e.failure("token", "token, missing or empty")
	case e.identity.kind == eventMerge:
		return e.failure("event", "$merge, must be sent to /import")
	case e.identity.kind != "":
		return e.judgeIdentity()
	case e.hasTime && (e.badTime || e.time < 0):
		return e.failure("time", "time, must be specified as seconds since epoch")
	case !e.hasTime || e.time > now.Add(l.Future).UnixMilli():
		e.time, e.overdue = now.UnixMilli(), true
	}
	if e.insertID != "" && (len(e.insertID) > 36 || !plainID(e.insertID)) {
		e.insertID, e.hasInsert = "", false // it cannot serve to recognise duplicates
	}
	return e.shape
}

func (e *eventRecord) judgeIdentity() *FailedRecord {
	field := map[string][2]string{
		eventCreateAlias: {"distinct_id", "alias"},
		eventIdentify:    {"$identified_id", "$anon_id"},
		eventMerge:       {"$distinct_ids", "$distinct_ids"},
	}[e.identity.kind]
	switch {
	case e.identity.id == "":
		return e.failure("properties."+field[0], field[0]+", missing or empty")
	case e.identity.other == "":
		return e.failure("properties."+field[1], field[1]+", missing or empty")
	}
	return e.shape
}

// plainID tells whether an $insert_id has only letters, digits and hyphens.
func plainID(s string) bool {
	for _, b := range []byte(s) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-':
		default:
			return false
		}
	}
	return true
}
