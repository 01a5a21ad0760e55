package mixpanel

import (
	"strings"
)

// Limits of one profile record.
const (
	manyProperties   = 2000      // Mixpanel fails updates of profiles that have more
	maxProfileNested = 256 << 10 // bytes of one list or object
)

var iosDevices = []byte("$ios_devices")

// writeBase writes what the profile records of the call begin with. Records that come from an
// identify carry its time: Mixpanel replays profile updates in the order of their times.
func (d *draft) writeBase(timed bool) {
	ip := d.context.ip
	if ip == nil {
		ip = noLocation
	}
	d.base = d.appendBase(d.base[:0], ip, d.context.inactive)
	if timed {
		d.base = appendMember(d.base, "$time", d.millis)
	}
}

func (d *draft) appendBase(dst, ip []byte, ignoreTime bool) []byte {
	dst = append(dst, `{"$token":`...)
	dst = append(dst, d.token...)
	dst = appendStringMember(dst, "$distinct_id", d.person.distinctID)
	dst = appendMember(dst, "$ip", ip)
	if ignoreTime {
		dst = append(dst, `,"$ignore_time":true`...)
	}
	return dst
}

// profile emits one record for /engage with one operation.
func (d *draft) profile(operation string, class Class, content []byte) {
	d.scratch = append(d.scratch[:0], `,"`...)
	d.scratch = append(d.scratch, operation...)
	d.scratch = append(d.scratch, `":`...)
	d.emit(Message{
		Endpoint: Engage, Class: class, DistinctID: d.person.distinctID, Warnings: d.warnings,
	}, d.base, d.scratch, content, []byte("}"))
}

// operation is the content of an operation while it is written: an object or a list.
type operation struct {
	text  []byte
	count int
}

func begin(buffer []byte, bracket byte) operation {
	return operation{text: append(buffer[:0], bracket)}
}

// next writes what stands before the next entry.
func (o *operation) next() {
	if o.count > 0 {
		o.text = append(o.text, ',')
	}
	o.count++
}

// name begins a member.
func (o *operation) name(quoted []byte) {
	o.next()
	o.text = append(o.text, quoted...)
	o.text = append(o.text, ':')
}

func (d *draft) identify() error {
	if r := d.settlePerson(); r != nil {
		return r
	}
	d.out = make([]Message, 0, 1)
	if d.idMerge == MergeOriginal {
		d.link()
	}
	if !d.people {
		return nil
	}
	computed := d.context.computed
	if !d.mapTraits(d.call.Traits, computed) {
		return malformed("traits")
	}
	d.deriveName()
	d.writeBase(true)
	d.names.reset()

	set, union, unset := begin(d.content, '{'), begin(d.second, '{'), begin(nil, '[')
	pushToken := d.pushToken()
	for i := range d.traits {
		m := &d.traits[i]
		if !d.allTraits && !isSpecialName(m.name) && !d.peopleProperties[string(m.source)] && !d.peopleProperties[string(m.name)] {
			continue
		}
		if !d.names.add(m.name) {
			continue
		}
		if err := d.checkProfileMember(m); err != nil {
			return err
		}
		switch {
		case isNull(m.value):
			unset.next()
			unset.text = append(unset.text, m.quoted...)
		case isList(m.value) && !computed:
			extra := []byte(nil)
			if string(m.name) == string(iosDevices) {
				extra = pushToken
			}
			switch list, kind := d.unionOf(m.value, extra); kind {
			case unionable:
				union.name(m.quoted)
				union.text = append(union.text, list...)
				if extra != nil {
					pushToken = nil
				}
			case clearing:
				set.name(m.quoted)
				set.text = append(set.text, "[]"...)
			case mixed:
				set.name(m.quoted)
				set.text = appendValue(set.text, m.value, m.extent)
			}
		default:
			set.name(m.quoted)
			set.text = appendValue(set.text, m.value, m.extent)
		}
	}
	if d.allTraits {
		d.setCircumstances(&set)
	}
	if pushToken != nil {
		union.name([]byte(`"$ios_devices"`))
		union.text = append(union.text, '[')
		union.text = append(union.text, pushToken...)
		union.text = append(union.text, ']')
	}
	if set.count >= manyProperties {
		d.warnings |= WarnManyProperties
	}
	d.content, d.second = append(set.text, '}'), append(union.text, '}')
	if set.count > 0 {
		d.profile("$set", ClassProfile, d.content)
	}
	if union.count > 0 {
		d.profile("$union", ClassProfile, d.second)
	}
	if unset.count > 0 {
		d.profile("$unset", ClassProfile, append(unset.text, ']'))
	}
	return d.tooLarge()
}

// setCircumstances adds what the context tells, where the traits say nothing else.
func (d *draft) setCircumstances(set *operation) {
	for i := range profileContext {
		n := &profileContext[i]
		value := d.context.facts[n.fact]
		if value == nil || !n.applies(d.context.platform) || !d.names.add(n.key) {
			continue
		}
		set.next()
		set.text = append(set.text, '"')
		set.text = append(set.text, n.name...)
		set.text = append(set.text, `":`...)
		set.text = append(set.text, value...)
	}
}

// pushToken is the token for push messages of an iOS device; a device that does not
// say what it is counts as one. Tokens of other systems need Mixpanel's own library.
func (d *draft) pushToken() []byte {
	if d.context.platform == ios || d.context.platform == unknownPlatform {
		return d.context.pushToken
	}
	return nil
}

// checkProfileMember holds a trait against Mixpanel's limits and notes what is odd about it.
func (d *draft) checkProfileMember(m *member) error {
	d.noteValue(m)
	if (isList(m.value) || isObject(m.value)) && len(m.value) > maxProfileNested {
		return reject(CodeTooLarge, "property "+string(m.quoted)+" is larger than 256 KB")
	}
	return nil
}

// listKind says which operation a list belongs to.
type listKind uint8

const (
	unionable listKind = iota // texts and numbers: joined to what is there
	clearing                  // empty: clears the property
	mixed                     // anything else: replaces the property
)

// unionOf prepares a list for $union: nulls and repetitions removed, extra added, order kept.
func (d *draft) unionOf(list, extra []byte) (union []byte, kind listKind) {
	d.elements.reset()
	union = append(d.scratch[:0], '[')
	kind = clearing
	add := func(value []byte) {
		switch {
		case isNull(value) || kind == mixed:
			return
		case !isString(value) && !isNumber(value):
			kind = mixed
			return
		}
		kind = unionable
		key := value
		if isString(value) {
			key = appendString(nil, string(unquote(value)))
		}
		if !d.elements.add(key) {
			return
		}
		if len(union) > 1 {
			union = append(union, ',')
		}
		union = append(union, value...)
	}
	elements(list, add)
	if extra != nil && kind == unionable {
		add(extra)
	}
	union = append(union, ']')
	d.scratch = union
	return union, kind
}

// unsetProperty removes properties from a profile without moving its "Last Seen" or place.
func (d *draft) unsetProperty() error {
	if r := d.settlePerson(); r != nil {
		return r
	}
	if !d.people {
		return nil
	}
	names := begin(d.content, '[')
	s := scanner{text: d.call.Properties}
	s.space()
	if s.at < len(s.text) && s.text[s.at] == '[' && s.value(0, 0) {
		elements(s.text[:s.at], func(value []byte) {
			if filledString(value) != nil && strings.TrimSpace(string(unquote(value))) != "" {
				names.next()
				names.text = append(names.text, value...)
			}
		})
	}
	if names.count == 0 {
		return reject(CodeNothingToUnset, "properties must be a list of the names to remove")
	}
	d.content = append(names.text, ']')
	d.base = d.appendBase(d.base[:0], noLocation, true)
	d.profile("$unset", ClassProfile, d.content)
	return d.tooLarge()
}
