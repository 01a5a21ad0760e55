package mixpaneltest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// update is one record of /engage or /groups.
type update struct {
	record jsontext.Value
	token  string
	id     string // distinct id, or key and id of a group

	groupKey    string
	operation   operation
	time        int64 // Unix milliseconds; 0 when the record has none
	ignoreTime  bool
	ignoreAlias bool
	geo         GeoSource

	field, problem string // why Mixpanel refuses the record; problem is "" when it does not
}

// groupID is the key under which a group's profile is kept.
func groupID(key, id string) string { return key + "\x00" + id }

// parseUpdate reads one record and notes in c which rules it breaks.
func (c *call) parseUpdate(index int, record jsontext.Value) (u update) {
	u.record = record
	limits := &c.server.options.Limits
	refuse := func(field, problem string) {
		if u.problem == "" {
			u.field, u.problem = field, problem
		}
	}
	if record.Kind() != '{' {
		refuse("", "the record is not an object")
		return u
	}
	if len(record) >= limits.RecordBytes {
		c.violate(index, RuleOversize, fmt.Sprintf("the record has %d bytes", len(record)))
		refuse("", fmt.Sprintf("the record must be smaller than %d bytes", limits.RecordBytes))
		return u
	}
	if !validText(record) {
		refuse("", "strings should be valid utf8")
	}
	groups := c.endpoint == Groups
	var ip jsontext.Value
	var distinctID, groupName string
	operators := 0
	c.keys.reset()
	members(record, func(name []byte, v jsontext.Value) bool {
		if !c.keys.add(c.server.names.intern(name)) {
			c.violate(index, RuleDuplicateName, fmt.Sprintf("the record has %q twice", name))
		}
		if op, ok := operatorOf(name); ok {
			operators++
			if groups && !op.forGroups() {
				refuse(string(op), "is not supported for groups")
				return true
			}
			o, problem := limits.parseOperation(op, v, &c.server.names)
			if problem != "" {
				refuse(string(op), string(op)+", "+problem)
			}
			u.operation = o
			c.checkOperands(index, o)
			return true
		}
		switch string(name) {
		case "$token":
			u.token = idText(v)
		case "$distinct_id":
			distinctID = idText(v)
			if groups {
				c.violate(index, RuleUnknownKey, "$distinct_id does not belong into a group's record")
			}
		case "$group_key", "$group_id":
			if string(name) == "$group_key" {
				u.groupKey = textOnly(v)
			} else {
				groupName = textOnly(v)
			}
			if !groups {
				c.violate(index, RuleUnknownKey, string(name)+" does not belong into a user's record")
			}
		case "$ip":
			ip = v
		case "$time":
			n, ok := integer(v)
			if !ok {
				c.violate(index, RuleTimeNotInteger, "$time is "+excerpt(v))
				refuse("$time", "$time, must be specified as seconds since epoch")
			}
			u.time = milliseconds(n)
		case "$ignore_time":
			u.ignoreTime = v.Kind() == 't'
		case "$ignore_alias":
			u.ignoreAlias = v.Kind() == 't'
		case "$latitude", "$longitude":
		default:
			c.violate(index, RuleUnknownKey, fmt.Sprintf("the record has the key %q", name))
		}
		return true
	})
	if groups {
		u.id = groupID(u.groupKey, groupName)
		if groupName == "" {
			refuse("$group_id", "$group_id, missing or empty")
		}
		if u.groupKey == "" {
			refuse("$group_key", "$group_key, missing or empty")
		}
	} else if u.id = distinctID; u.id == "" {
		refuse("$distinct_id", "$distinct_id, missing or empty")
	}
	if u.token == "" {
		refuse("$token", "$token, missing or empty")
	}
	switch {
	case operators == 0:
		c.violate(index, RuleNoOperation, "the record has no operation")
		refuse("", "the record has no operation")
	case operators > 1:
		c.violate(index, RuleTwoOperations, fmt.Sprintf("the record has %d operations", operators))
		refuse("", "the record has more than one operation")
	case u.operation.operator == opSet || u.operation.operator == opSetOnce:
		u.geo = geoOf(ip, c.locate)
	}
	return u
}

func (c *call) checkOperands(index int, o operation) {
	c.properties.reset()
	for _, e := range o.operands {
		if !c.properties.add(e.name) {
			c.violate(index, RuleDuplicateName, fmt.Sprintf("%s has %q twice", o.operator, e.name))
		}
		if e.value == nil && (o.operator == opSet || o.operator == opSetOnce) {
			c.violate(index, RuleNull, fmt.Sprintf("%s of %q to null", o.operator, e.name))
		}
		if o.operator != opUnset && o.operator != opRemove && forbiddenProperty(e.name) {
			c.violate(index, RuleForbidden, fmt.Sprintf("%s of %q", o.operator, e.name))
		}
	}
}

// update applies u to the profile id of p. problem is "" when it was applied.
func (s *Server) update(p *profiles, id string, u *update, now time.Time) (problem string) {
	shard := p.shard(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if u.operation.operator == opDelete {
		delete(shard.states, id)
		return ""
	}
	st, ok := shard.states[id]
	if !ok {
		if !u.operation.operator.creates() {
			return ""
		}
		st = &state{}
	}
	if s.options.ReplayByTime {
		problem = st.replay(&s.options.Limits, *u, now)
	} else {
		problem = s.options.Limits.apply(u.operation, &st.properties)
	}
	if problem != "" {
		return problem
	}
	if !u.ignoreTime {
		st.lastSeen = cmp.Or(u.time, now.UnixMilli())
	}
	if u.geo != GeoNone {
		st.geo = u.geo
	}
	if !ok {
		shard.states[strings.Clone(id)] = st
	}
	return ""
}

// replay puts u into the history at the place of its time and computes the
// properties anew. An update that shares its time and a key with an earlier one
// vanishes, as an older note on Mixpanel warns.
func (st *state) replay(l *Limits, u update, now time.Time) (problem string) {
	u.time = cmp.Or(u.time, now.UnixMilli())
	u.record = nil
	at := len(st.history)
	for at > 0 && st.history[at-1].time >= u.time {
		at--
		if st.history[at].time == u.time && sharesKey(st.history[at].operation, u.operation) {
			return ""
		}
	}
	for at < len(st.history) && st.history[at].time == u.time {
		at++
	}
	history := slices.Insert(slices.Clone(st.history), at, u)
	var fresh properties
	for i, past := range history {
		o := operation{past.operation.operator, slices.Clone(past.operation.operands)}
		for j := range o.operands {
			o.operands[j].value = clone(o.operands[j].value)
		}
		if problem := l.apply(o, &fresh); problem != "" && i == at {
			return problem
		}
	}
	st.history, st.properties = history, fresh
	return ""
}

func sharesKey(a, b operation) bool {
	return slices.ContainsFunc(a.operands, func(p property) bool {
		return slices.ContainsFunc(b.operands, func(q property) bool { return p.name == q.name })
	})
}
