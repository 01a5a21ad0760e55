package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster/config"
	"muster/engine"
	"muster/store"
)

// Of a destination whose settings the database does not know, what differs from the defaults
// is shown, and that they were not known. Once they are stored, nothing changes.
func TestChangesOfADestinationThatIsNotKnown(t *testing.T) {
	for _, c := range []struct {
		name, settings string
		want           []config.FieldChange
	}{
		{"defaults", "", nil},
		{
			"defaults that are written out",
			", people: true, strict: true, set_all_traits_by_default: true, cross_subdomain_cookie: true, secure_cookie: false, track_all_pages: false, persistence: cookie, " +
				"event_endpoint: import, id_merge: legacy, region: us, alias_settle: 1s, insert_id_namespace: 92322da4-9fad-581d-9be4-0cba4b7cfd19, events_per_second: 0", nil,
		},
		{"others", ", people: false, region: eu, alias_settle: 2s, secure_cookie: true", []config.FieldChange{
			{Field: "settings.alias_settle", After: "2s"}, {Field: "settings.people", After: "false"}, {Field: "settings.region", After: "eu"}, {Field: "settings.secure_cookie", After: "true"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := mustParse(t, "destinations:\n  - name: m\n    settings: {token: \"${TOKEN}\""+c.settings+"}\n")
			kept := &store.Kept{Destinations: map[string]store.ConfiguredDestination{"m": {Kind: "mixpanel"}}}
			stored, err := conf.Stored(kept)
			if err != nil {
				t.Fatal(err)
			}
			list, _, err := config.Changes(kept, stored)
			if err != nil {
				t.Fatal(err)
			}
			want := []config.Change{{
				Part: config.PartDestination, Action: engine.ActionEdit, Name: "m", Unknown: true, Fields: c.want, Notes: []string{
					"what it is set to was not known here, so that whether anything changes is not known either; shown is what differs from the defaults, but for secrets",
					"muster serve takes token from TOKEN of its own environment; start it again if it was started without",
				},
			}}
			if diff := cmp.Diff(want, list); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			kept.Destinations = stored.Destinations
			if list, rewrites, err := config.Changes(kept, stored); err != nil || rewrites || len(list) > 0 {
				t.Errorf("when it is known: %+v %v %v", list, rewrites, err)
			}
		})
	}
}
