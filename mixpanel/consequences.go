package mixpanel

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"muster/event"
)

// increment is one counter of an $add record.
type increment struct {
	name   []byte
	quoted []byte
	amount []byte
}

// counts tells whether one of the messages that c becomes adds to something. It costs next
// to nothing unless c may be one that does.
func (m *Mapper) counts(c *event.Call) bool {
	switch {
	case !m.people || c.Type != event.Track && c.Type != event.Page && c.Type != event.Screen:
		return false
	case len(m.eventIncrements) == 0 && len(m.propIncrements) == 0 && !mentionsRevenue(c.Properties):
		return false
	}
	messages, err := m.Map(c, c.Timestamp)
	return err == nil && slices.ContainsFunc(messages, func(o Message) bool { return o.Class == ClassIncrement })
}

// mentionsRevenue is true of every text with a property of that name in any spelling, and of others.
func mentionsRevenue(properties []byte) bool {
	const rest = len("evenue")
	for i, b := range properties {
		if (b|0x20 == 'r' && len(properties)-i > rest && bytes.EqualFold(properties[i+1:i+1+rest], []byte("evenue"))) || b == '\\' {
			return true // an escape may spell anything
		}
	}
	return false
}

// consequences emits what events do to the profile: counters, the dates of the
// last time, and a charge. They happen once per call, however many events it became.
func (d *draft) consequences(eventNames []string) {
	d.writeBase(false)
	if d.person.user != "" && (len(d.eventIncrements) > 0 || len(d.propIncrements) > 0) {
		d.increments(eventNames)
	}
	d.charge()
}

// increments emits one $add record for all counters, and one $set record "Last <event>".
func (d *draft) increments(eventNames []string) {
	var counters []increment
	last := append(d.second[:0], '{')
	for _, n := range eventNames {
		if !d.eventIncrements[strings.ToLower(n)] {
			continue
		}
		counters = append(counters, increment{[]byte(n), appendString(nil, n), []byte("1")})
		if len(last) > 1 {
			last = append(last, ',')
		}
		last = appendString(last, "Last "+n)
		last = append(last, ':')
		last = appendDate(last, d.at)
	}
	last = append(last, '}')
	d.second = last
	if len(d.propIncrements) > 0 {
		for i := range d.properties {
			m := &d.properties[i]
			if amount, ok := finite(m.value); ok && amount != 0 && d.propIncrements[strings.ToLower(string(m.name))] {
				counters = count(counters, m, amount)
			}
		}
	}
	if len(counters) == 0 {
		return
	}
	d.content = append(d.content[:0], '{')
	for i, c := range counters {
		if i > 0 {
			d.content = append(d.content, ',')
		}
		d.content = append(d.content, c.quoted...)
		d.content = append(d.content, ':')
		d.content = append(d.content, c.amount...)
	}
	d.content = append(d.content, '}')
	d.profile("$add", ClassIncrement, d.content)
	if len(d.second) > len("{}") {
		d.profile("$set", ClassProfile, d.second)
	}
}

// count adds a property to the counters. One that has the name of the event itself
// shares its counter: an object can not carry a name twice.
func count(counters []increment, m *member, amount float64) []increment {
	for i := range counters {
		if string(counters[i].name) == string(m.name) {
			before, _ := finite(counters[i].amount)
			counters[i].amount = appendNumber(nil, before+amount)
			return counters
		}
	}
	return append(counters, increment{m.name, m.quoted, m.value})
}

// charge emits the $append of a transaction, if the call has revenue.
func (d *draft) charge() {
	amount := revenue(d.properties)
	if amount == nil {
		return
	}
	d.content = append(d.content[:0], `{"$transactions":{"$time":`...)
	d.content = appendDate(d.content, d.at)
	d.content = append(d.content, `,"$amount":`...)
	d.content = append(d.content, amount...)
	d.content = append(d.content, "}}"...)
	d.profile("$append", ClassIncrement, d.content)
}

// revenue is the amount of money among the properties as a JSON number, nil without one
// or when it is 0. The exact name wins over other spellings.
func revenue(properties []member) []byte {
	var found []byte
	for i := range properties {
		m := &properties[i]
		if len(m.name) != len("revenue") || !strings.EqualFold(string(m.name), "revenue") {
			continue
		}
		if amount := money(m.value); amount != nil && (found == nil || string(m.name) == "revenue") {
			found = amount
		}
	}
	return found
}

// money reads a number, or a text such as "$1,234.50"; nil when it is neither, or 0.
func money(value []byte) []byte {
	if isString(value) {
		text := strings.Map(func(r rune) rune {
			if r == '$' || r == ',' || r == ' ' {
				return -1
			}
			return r
		}, string(unquote(value)))
		if text == "" || strings.Trim(text, "+-.0123456789eE") != "" {
			return nil // ParseFloat knows more than decimal numbers
		}
		amount, err := strconv.ParseFloat(text, 64)
		if err != nil || amount == 0 {
			return nil
		}
		return appendNumber(nil, amount)
	}
	if amount, ok := finite(value); !ok || amount == 0 {
		return nil
	}
	return value
}

// finite reads a JSON number that fits a float.
func finite(value []byte) (float64, bool) {
	if !isNumber(value) {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(value), 64)
	return f, err == nil && !math.IsInf(f, 0)
}
