package event

import (
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// Members yields the members of a JSON object of a call in their order: the name, and
// the raw value. It yields nothing for nil and for anything but an object.
func Members(obj jsontext.Value) iter.Seq2[string, jsontext.Value] {
	return func(yield func(string, jsontext.Value) bool) {
		for name, value := range members(obj) {
			if !yield(string(name), value) {
				return
			}
		}
	}
}
