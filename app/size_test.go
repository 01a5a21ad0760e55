package app_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/engine"
	"muster/query"
	"muster/store"
)

// A trait that is false has a value: what a day has brought is told apart from what it has taken
// by whether there is one.
func TestSizesCountTraitsThatAreFalse(t *testing.T) {
	l := newLife(t)
	l.want("refused", l.defines(engine.Definition{Key: "last", Kind: query.Trait, Query: `event('Answered').last(property('yes'))`, IncludeHistorical: true}), "")
	l.settle()
	for _, user := range []string{"kim", "lee"} {
		l.tracks(user, "Answered", `{"yes":false}`)
	}
	size, err := l.store.SizeOf(t.Context(), "trait", "last", l.now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	want := store.Size{Size: 2, IDTypes: map[string]int64{"user_id": 2}, Days: []store.SizeOfDay{{Day: l.now.Truncate(24 * time.Hour), Entered: 2}}}
	if diff := cmp.Diff(want, size); diff != "" {
		t.Errorf("size (-want +got):\n%s", diff)
	}
}
