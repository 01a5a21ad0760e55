package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// Delivery is a message that was sent, and when.
type Delivery struct {
	Sent
	At Offset // the step, or the tick before it
}

// channel is a definition and the id that is told of it.
type channel struct {
	key string
	to  identity.ID
}

// traffic is what was expected and what was sent on a channel.
type traffic struct {
	want []query.Value
	sent []Delivery
}

// compareEmitted compares what was sent with the exact multiset. Of a trait only the last
// value that an id was told counts: how many there were on the way depends on how calls
// share transactions.
func compareEmitted(want []Emission, sent []Delivery, kinds map[string]query.Purpose) []Difference {
	var order []channel
	all := map[channel]*traffic{}
	on := func(c channel) *traffic {
		if all[c] == nil {
			order = append(order, c)
			all[c] = &traffic{}
		}
		return all[c]
	}
	for _, w := range want {
		t := on(channel{w.Key, w.To})
		t.want = append(t.want, w.Value)
	}
	expected := len(order)
	for _, d := range sent {
		t := on(channel{d.Key, d.To()})
		t.sent = append(t.sent, d)
	}
	// In an order of their own: that of arrival differs from run to run.
	slices.SortFunc(order[expected:], func(a, b channel) int {
		return cmp.Or(cmp.Compare(a.key, b.key), compareIDs(a.to, b.to))
	})
	var found []Difference
	for _, c := range order {
		t := all[c]
		if kinds[c.key] == query.Trait {
			t.want, t.sent = last(t.want), last(t.sent)
		}
		if t.differs() {
			found = append(found, t.difference(c))
		}
	}
	return found
}

func last[T any](all []T) []T { return all[max(len(all)-1, 0):] }

// differs tells whether the values are not the same multiset.
func (t *traffic) differs() bool {
	left := slices.Clone(t.sent)
	for _, v := range t.want {
		i := slices.IndexFunc(left, func(d Delivery) bool { return sameValue(d.Value, v) })
		if i < 0 {
			return true
		}
		left = slices.Delete(left, i, i+1)
	}
	return len(left) > 0
}

func (t *traffic) difference(c channel) Difference {
	d := Difference{Subject: "sent", Of: c.key + " to " + refText(c.to), Want: nothing, Got: nothing}
	if len(t.want) > 0 {
		texts := make([]string, len(t.want))
		for i, v := range t.want {
			texts[i] = v.String()
		}
		d.Want = strings.Join(texts, ", ")
	}
	if len(t.sent) > 0 {
		texts, whys := make([]string, len(t.sent)), make([]string, len(t.sent))
		for i, s := range t.sent {
			texts[i], whys[i] = s.Value.String(), s.why()
		}
		d.Got, d.Why = strings.Join(texts, ", "), strings.Join(whys, "; ")
	}
	return d
}

// why is the reason that the message carries, when it was sent, and the ids that it
// carries besides the one that it is for.
func (d Delivery) why() string {
	parts := []string{fmt.Sprintf("%s at %s", words(d.Reason), d.At)}
	for _, id := range d.Carried() {
		if id != d.To() {
			parts = append(parts, "with "+refText(id))
		}
	}
	return strings.Join(parts, ", ")
}

// compareCovered compares the ids that carry a value.
func compareCovered(want map[string]Cover, sent []Delivery) []Difference {
	var found []Difference
	for _, key := range slices.Sorted(maps.Keys(want)) {
		cover := want[key]
		subject := fmt.Sprintf("ids told %s = %s", key, cover.Value)
		carriers := map[identity.ID]Delivery{}
		for _, d := range sent {
			if d.Key == key && sameValue(d.Value, cover.Value) {
				for _, id := range d.Carried() {
					carriers[id] = d
				}
			}
		}
		for _, id := range cover.IDs {
			if _, ok := carriers[id]; !ok {
				found = append(found, Difference{Subject: subject, Of: refText(id), Want: "told", Got: "not told"})
			}
			delete(carriers, id)
		}
		for _, id := range slices.SortedFunc(maps.Keys(carriers), compareIDs) {
			found = append(found, Difference{Subject: subject, Of: refText(id), Want: "not told", Got: "told", Why: carriers[id].why()})
		}
	}
	return found
}

// memory is the last message that carried an id, by definition: what is known of why a
// profile is, or is not, where it is.
type memory map[channel]Delivery

func (m memory) note(d Delivery) {
	for _, id := range d.Carried() {
		m[channel{d.Key, id}] = d
	}
}

// why tells what a profile last heard of a definition.
func (m memory) why(key string, ids []identity.ID) string {
	var latest *Delivery
	for _, id := range ids {
		if d, ok := m[channel{key, id}]; ok && (latest == nil || d.At > latest.At) {
			latest = &d
		}
	}
	if latest == nil {
		return "was told nothing so far"
	}
	return fmt.Sprintf("last told %s at %s: %s", latest.Value, latest.At, words(latest.Reason))
}

// words is a reason as people say it: "first sync".
func words(r engine.Reason) string { return strings.ReplaceAll(string(r), "_", " ") }
