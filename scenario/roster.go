package scenario

import (
	"maps"
	"slices"
	"strings"

	"muster/query"
)

// roster is the definitions that a scenario has made so far, so that expectations need
// not name the only one.
type roster struct {
	ever map[string]definition
}

// definition is what the roster knows of one.
type definition struct {
	kind query.Purpose
	gone bool // removed, or refused
}

// keys are the definitions of the kinds that are in force, else, if there is none, all
// that ever were; in the order of the alphabet.
func (r *roster) keys(kinds ...query.Purpose) []string {
	var now, ever []string
	for _, key := range slices.Sorted(maps.Keys(r.ever)) {
		if d := r.ever[key]; slices.Contains(kinds, d.kind) {
			ever = append(ever, key)
			if !d.gone {
				now = append(now, key)
			}
		}
	}
	if len(now) > 0 {
		return now
	}
	return ever
}

// is tells whether the key is, or was, a definition of one of the kinds.
func (r *roster) is(key string, kinds ...query.Purpose) bool {
	d, ok := r.ever[key]
	return ok && slices.Contains(kinds, d.kind)
}

// add notes a definition. An edit cannot change the kind.
func (r *roster) add(key string, kind query.Purpose) {
	if d, ok := r.ever[key]; kind != "" && (!ok || d.gone) {
		r.ever[key] = definition{kind: kind}
	}
}

// inForce is the keys of what is defined now.
func (r *roster) inForce() map[string]bool {
	keys := map[string]bool{}
	for key, d := range r.ever {
		if !d.gone {
			keys[key] = true
		}
	}
	return keys
}

// end notes that a definition was removed, or is expected to be refused.
func (r *roster) end(key string) {
	if d, ok := r.ever[key]; ok {
		d.gone = true
		r.ever[key] = d
	}
}

// kindsText names kinds for people: "audience", "audience or trait".
func kindsText(kinds []query.Purpose) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return strings.Join(words, " or ")
}
