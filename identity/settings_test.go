package identity_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"muster/identity"
)

func TestSettingsInYAML(t *testing.T) {
	const text = `
limits:
  user_id: 1
  anonymous_id: {max: 100, period: weekly}
  "*": 7
priority: [crm_id, user_id]
blocked:
  "*": ["/^[0-]*$/"]
  email: [nobody@example.net]
custom_keys: [crm_id]
email_from_properties: true
max_merges: 10
max_ids: 50
`
	var got identity.Settings
	if err := yaml.UnmarshalWithOptions([]byte(text), &got, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	want := identity.Settings{
		Limits: map[string]identity.Limit{
			"user_id":      {Max: 1},
			"anonymous_id": {Max: 100, Period: identity.Weekly},
			"*":            {Max: 7},
		},
		Priority:            []string{"crm_id", "user_id"},
		Blocked:             map[string][]string{"*": {"/^[0-]*$/"}, "email": {"nobody@example.net"}},
		CustomKeys:          []string{"crm_id"},
		EmailFromProperties: true,
		MaxMerges:           10,
		MaxIDs:              50,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if err := yaml.UnmarshalWithOptions([]byte("limits: {email: many}"), &got, yaml.Strict()); err == nil {
		t.Error("a limit of many was accepted")
	}
}

func TestDefaultSettingsAreTheZeroOnesSpeltOut(t *testing.T) {
	zero, err := identity.Settings{}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	defaults, err := identity.DefaultSettings().Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*identity.Rules{zero, defaults} {
		w := &world{tb: t, rules: r, profiles: map[identity.ProfileID]identity.Profile{}, owners: map[identity.ID]identity.ProfileID{}}
		for _, words := range []string{
			"user:u email:e@x anon:null", "user:v email:e@x", "user:u anon:1 loyalty:1", "user:u anon:2 loyalty:2", "user:u anon:3",
			"user:u anon:4", "user:u anon:5", "user:u anon:6",
		} {
			w.batch(arrival{newCall(words), t0})
		}
		want := "1: anonymous_id:1 email:e@x loyalty:1 user_id:u anonymous_id:2 loyalty:2 anonymous_id:3 anonymous_id:4 anonymous_id:5\n2: user_id:v"
		if diff := cmp.Diff(want, w.String()); diff != "" {
			t.Error(diff)
		}
	}
	spelt := identity.DefaultSettings()
	spelt.Blocked["*"][0] = "changed"
	if reflect.DeepEqual(spelt, identity.DefaultSettings()) {
		t.Error("the defaults can be changed by their users")
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	s := identity.Settings{
		Limits: map[string]identity.Limit{
			"email":   {Max: 0},
			"Crm":     {Max: 1},
			"phone":   {Max: 1, Period: "daily"},
			"user_id": {Max: 2, Period: identity.Annually},
		},
		Priority:   []string{"email", "crm", "email"},
		Blocked:    map[string][]string{"*": {"ok", "/(?!x)/", "//"}, "": {"x"}},
		CustomKeys: []string{"crm", "crm", "user_id"},
		MaxMerges:  -1,
		MaxIDs:     -1,
	}
	err := s.Validate()
	if err == nil {
		t.Fatal("no fault was found")
	}
	want := []string{
		`limits: type "Crm" must be written "crm"`,
		"limits.email: max is 0; it must be at least 1 (to ignore a type, block /.*/ for it)",
		`limits.phone: unknown period "daily"; use ever, annually, monthly or weekly`,
		"priority: email is named twice",
		`blocked: type "": the type is empty`,
		"blocked.*[1]: /(?!x)/ is not a regular expression of RE2 syntax: error parsing regexp: invalid or unsupported Perl syntax: `(?!`",
		"blocked.*[2]: an empty regular expression matches everything; write /.*/ if that is meant",
		"custom_keys: crm is named twice",
		"custom_keys: user_id is always read from its own place",
		"max_merges: -1 is negative",
		"max_ids: -1 is negative",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
