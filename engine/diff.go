package engine

import (
	"maps"
	"slices"

	"muster/identity"
	"muster/query"
)

// announcement is a value that a combination of ids has to hear.
type announcement struct {
	ids   identity.Combination
	value query.Value
}

// diff is what has to be told, and to whom, so that the ledger agrees with a value:
// a pure function of the value now, the id combinations now, and what was told.
//
//   - A value that is on (a member, a trait that has a value) goes to every
//     combination that has not heard it.
//   - One that is off (no member, no value) goes to those that heard it was on,
//     whether or not they are combinations still, and to nobody else.
//
// See docs/concepts.md, telling.
func diff(kind query.Purpose, value query.Value, now []identity.Combination, told map[string]*Told) []announcement {
	if !isOff(kind, value) {
		var says []announcement
		for _, ids := range now {
			if t := told[ids.Key()]; t == nil || !t.Value.Equal(value) {
				says = append(says, announcement{ids, value})
			}
		}
		return says
	}
	value = offValue(kind)
	var says []announcement
	for _, ids := range inOrder(now, told) {
		if t := told[ids.Key()]; t != nil && !isOff(kind, t.Value) {
			says = append(says, announcement{ids, value})
		}
	}
	return says
}

// offValue is what is told of a value that is off.
func offValue(kind query.Purpose) query.Value {
	if kind == query.Audience {
		return query.Bool(false)
	}
	return query.Null()
}

// isOff tells whether a value is that of no member, or of a trait without a value.
func isOff(kind query.Purpose, v query.Value) bool {
	return v.IsNull() || kind == query.Audience && !v.AsBool()
}

// inOrder is every combination that was told, those of now first and in their order.
func inOrder(now []identity.Combination, told map[string]*Told) []identity.Combination {
	if len(told) == 0 {
		return nil
	}
	all := slices.Clone(now)
	seen := make(map[string]bool, len(now))
	for _, ids := range now {
		seen[ids.Key()] = true
	}
	var former []identity.Combination
	for _, key := range slices.Sorted(maps.Keys(told)) {
		if !seen[key] {
			if ids, err := identity.ParseCombination(key); err == nil {
				former = append(former, ids)
			}
		}
	}
	// Former ones first: the newest email is the last to be told, and stays the one of record.
	return append(former, all...)
}
