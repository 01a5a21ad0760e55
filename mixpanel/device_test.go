package mixpanel

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func forBrowsers(t *testing.T, s Settings) map[string]any {
	t.Helper()
	text, err := s.ForBrowsers()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSettingsForBrowsersAreSegments(t *testing.T) {
	usual := map[string]any{
		"token": "tok", "people": true, "consolidatedPageCalls": true, "trackAllPages": false, "trackNamedPages": false, "trackCategorizedPages": false,
		"setAllTraitsByDefault": true, "peopleProperties": []any{}, "superProperties": []any{}, "eventIncrements": []any{}, "propIncrements": []any{},
		"groupIdentifierTraits": []any{}, "crossSubdomainCookie": true, "secureCookie": false, "persistence": "cookie", "cookieName": "", "nameTag": true,
		"sourceName": "", "enableEuropeanUnionEndpoint": false, "type": "browser", "bundlingStatus": "bundled",
		"versionSettings": map[string]any{"version": "2.4.1", "componentTypes": []any{"browser"}},
	}
	if diff := cmp.Diff(usual, forBrowsers(t, Settings{Token: "tok"})); diff != "" {
		t.Errorf("of a token alone (-want +got)\n%s", diff)
	}
	off := false
	edited := forBrowsers(t, Settings{
		Token: "tok", People: &off, TrackNamedPages: true, TrackCategorizedPages: true, SetAllTraitsByDefault: &off, PeopleProperties: []string{"plan"},
		SuperProperties: []string{"seats"}, EventIncrements: []string{"Signed In"}, PropIncrements: []string{"points"}, GroupIdentifierTraits: []string{"company"},
		SourceName: "site", Region: RegionEU, CrossSubdomainCookie: &off, SecureCookie: true, Persistence: "localStorage",
	})
	for key, want := range map[string]any{
		"people": false, "consolidatedPageCalls": false, "trackAllPages": false, "trackNamedPages": true, "trackCategorizedPages": true,
		"setAllTraitsByDefault": false, "peopleProperties": []any{"plan"}, "superProperties": []any{"seats"}, "eventIncrements": []any{"Signed In"},
		"propIncrements": []any{"points"}, "groupIdentifierTraits": []any{"company"}, "sourceName": "site", "enableEuropeanUnionEndpoint": true,
		"crossSubdomainCookie": false, "secureCookie": true, "persistence": "localStorage",
	} {
		if diff := cmp.Diff(want, edited[key]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", key, diff)
		}
	}
	if got := forBrowsers(t, Settings{Token: "tok", EnableEuropeanUnionEndpoint: true})["enableEuropeanUnionEndpoint"]; got != true {
		t.Errorf("the switch for the EU is %v", got)
	}
	all := true
	if got := forBrowsers(t, Settings{Token: "tok", ConsolidatedPageCalls: &all, TrackAllPages: true}); got["consolidatedPageCalls"] != true || got["trackAllPages"] != true {
		t.Errorf("both page options: %v", got)
	}
}

// Every text of the settings is filled, so that one that is added later and is handed out
// shows here as well: pages may see none but those named.
func TestSettingsForBrowsersHoldNoCredentials(t *testing.T) {
	s := Settings{MixpanelProjectID: 424242}
	public := map[string]bool{"Token": true, "SourceName": true}
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.String {
			f.SetString("value-of-" + v.Type().Field(i).Name + ";")
		}
	}
	s.Region, s.Persistence = RegionEU, "cookie"
	text, err := s.ForBrowsers()
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if shown := strings.Contains(string(text), "value-of-"+name+";"); shown != public[name] {
			t.Errorf("%s is shown: %v", name, shown)
		}
	}
	if strings.Contains(string(text), "424242") || strings.Contains(strings.ToLower(string(text)), "apikey") {
		t.Errorf("shown: %s", text)
	}
}

func TestPagesCannotTellIndia(t *testing.T) {
	s := Settings{Token: "tok", Region: RegionIndia}
	_, err := s.ForBrowsers()
	if fault, ok := errors.AsType[*SettingError](err); !ok || fault.Setting != "region" || !strings.Contains(fault.Remedy, "sources") {
		t.Errorf("error %v", err)
	}
}
