package mixpanel

import (
	"strconv"
)

// group maps a group call: its traits belong to the groups that the identifier traits
// name. The call's groupId says nothing to Mixpanel, and whoever made the call does not matter.
func (d *draft) group() error {
	if len(d.groupKeys) == 0 {
		return nil
	}
	if !d.mapTraits(d.call.Traits, false) {
		return malformed("traits")
	}
	set, once := begin(d.content, '{'), begin(d.second, '{')
	d.names.reset()
	for i := range d.traits {
		m := &d.traits[i]
		if !d.names.add(m.name) {
			continue
		}
		if err := d.checkProfileMember(m); err != nil {
			return err
		}
		to := &set
		if d.groupOnce[string(m.source)] || d.groupOnce[string(m.name)] {
			to = &once
		}
		to.name(m.quoted)
		to.text = appendValue(to.text, m.value, m.extent)
	}
	if max(set.count, once.count) >= manyProperties {
		d.warnings |= WarnManyProperties
	}
	d.content, d.second = append(set.text, '}'), append(once.text, '}')

	for _, key := range d.groupKeys {
		for _, id := range groupIDs(pick(d.call.Traits, key)) {
			if set.count > 0 {
				d.groupRecord(key, id, "$set", d.content)
			}
			if once.count > 0 {
				d.groupRecord(key, id, "$set_once", d.second)
			}
		}
	}
	return d.tooLarge()
}

func (d *draft) groupRecord(key, id, operation string, content []byte) {
	d.base = append(d.base[:0], `{"$token":`...)
	d.base = append(d.base, d.token...)
	d.base = appendStringMember(d.base, "$group_key", key)
	d.base = appendStringMember(d.base, "$group_id", id)
	d.base = append(d.base, `,"`...)
	d.base = append(d.base, operation...)
	d.base = append(d.base, `":`...)
	d.emit(Message{
		Endpoint: Groups, Class: ClassProfile, DistinctID: key + ":" + id, Warnings: d.warnings,
	}, d.base, content, []byte("}"))
}

// groupIDs are the usable ids in the value of an identifier trait: a text or number, or a list of them.
func groupIDs(value []byte) []string {
	var ids []string
	known := map[string]bool{}
	add := func(v []byte) {
		id := groupID(v)
		if id != "" && !known[id] {
			known[id] = true
			ids = append(ids, id)
		}
	}
	if isList(value) {
		elements(value, add)
	} else {
		add(value)
	}
	return ids
}

// groupID is one id as text, "" if it can not be one.
func groupID(value []byte) string {
	switch {
	case isString(value):
		return string(unquote(value))
	case isNumber(value):
		if _, err := strconv.ParseInt(string(value), 10, 64); err == nil {
			return string(value)
		}
		if f, ok := finite(value); ok {
			return string(appendNumber(nil, f))
		}
	}
	return ""
}
