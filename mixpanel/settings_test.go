package mixpanel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"
)

func TestSecretsAreNeverShown(t *testing.T) {
	const text = "hush-hush"
	s := Settings{Token: text, APISecret: text, ServiceAccountUsername: "me", ServiceAccountSecret: text, MixpanelProjectID: 7}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "token", s.Token, "settings", s)
	for _, encode := range []func(any) ([]byte, error){json.Marshal, func(v any) ([]byte, error) { return jsonv2.Marshal(v) }, yaml.Marshal} {
		b, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(b)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&log, format, s)
		fmt.Fprintf(&log, format, s.Token)
		fmt.Fprintf(&log, format, &s)
	}
	if out := log.String(); strings.Contains(out, text) || strings.Contains(out, fmt.Sprintf("%x", text)) || !strings.Contains(out, mask) {
		t.Errorf("shown: %s", out)
	}
	if s.Token.Reveal() != text || Secret("").String() != "" {
		t.Error("a secret must be usable, and none must look like none")
	}
}

func TestSettingsAreReadFromYAMLAndJSON(t *testing.T) {
	const asYAML = `
token: t
consolidated_page_calls: false
people: false
people_properties: [plan, seats]
alias_settle: 250ms
request_timeout: 5s
mixpanel_project_id: 17
max_events_per_request: 100
`
	const asJSON = `{"token":"t","consolidated_page_calls":false,"people":false,"people_properties":["plan","seats"],
		"alias_settle":"250ms","request_timeout":"5s","mixpanel_project_id":17,"max_events_per_request":100}`
	for name, read := range map[string]func(*Settings) error{
		"yaml":    func(s *Settings) error { return yaml.UnmarshalWithOptions([]byte(asYAML), s, yaml.Strict()) },
		"json":    func(s *Settings) error { return json.Unmarshal([]byte(asJSON), s) },
		"json v2": func(s *Settings) error { return jsonv2.Unmarshal([]byte(asJSON), s, jsonv2.RejectUnknownMembers(true)) },
	} {
		var s Settings
		if err := read(&s); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Token.Reveal() != "t" || s.consolidated() || orTrue(s.People) || len(s.PeopleProperties) != 2 ||
			s.settle() != 250*time.Millisecond || time.Duration(s.RequestTimeout) != 5*time.Second || s.MixpanelProjectID != 17 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	err := (&Settings{
		Token: "to:ken", APISecret: "gap in it", ServiceAccountUsername: "a:b",
		Region: RegionIndia, EnableEuropeanUnionEndpoint: true, BaseURL: "http://example.com",
		EventEndpoint: "x", IDMerge: "x", Persistence: "x", InsertIDNamespace: "x",
		PeopleProperties: []string{"a", " "}, GroupIdentifierTraits: []string{""},
		MaxEventsPerRequest: 2001, MaxProfilesPerRequest: -1, MaxRequestBytes: 1, EventsPerSecond: -1, BytesPerMinute: 1,
		RequestTimeout: Duration(time.Hour), AliasSettle: new(Duration(-1)),
	}).Validate()
	for _, setting := range []string{
		"token", "api_secret", "service_account_username", "service_account_secret", "mixpanel_project_id", "region", "base_url",
		"event_endpoint", "id_merge", "persistence", "insert_id_namespace", "people_properties", "group_identifier_traits",
		"max_events_per_request", "max_profiles_per_request", "max_request_bytes", "events_per_second", "bytes_per_minute",
		"request_timeout", "alias_settle",
	} {
		if !strings.Contains("\n"+err.Error(), "\n"+setting+" ") {
			t.Errorf("nothing about %s", setting)
		}
	}
	var fault *SettingError
	if !errors.As(err, &fault) || fault.Setting != "token" || fault.Remedy == "" {
		t.Errorf("the first fault is %+v", fault)
	}
	for _, secret := range []string{"to:ken", "gap in it"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("a secret is quoted: %v", err)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name     string
		settings Settings
		about    string // "" when valid
	}{
		{"token only", Settings{Token: "t"}, ""},
		{"no token", Settings{}, "token"},
		{"blank token", Settings{Token: " "}, "token"},
		{"redacted token", Settings{Token: mask}, "token"},
		{"eu both ways", Settings{Token: "t", Region: RegionEU, EnableEuropeanUnionEndpoint: true}, ""},
		{"region against the switch", Settings{Token: "t", Region: RegionUS, EnableEuropeanUnionEndpoint: true}, "region"},
		{"unknown region", Settings{Token: "t", Region: "mars"}, "region"},
		{"loopback", Settings{Token: "t", BaseURL: "http://127.0.0.1:80/x"}, ""},
		{"localhost", Settings{Token: "t", BaseURL: "http://localhost"}, ""},
		{"a proxy", Settings{Token: "t", BaseURL: "https://mp.example.com"}, ""},
		{"no scheme", Settings{Token: "t", BaseURL: "mp.example.com"}, "base_url"},
		{"credentials in the address", Settings{Token: "t", BaseURL: "https://a:b@mp.example.com"}, "base_url"},
		{"a query in the address", Settings{Token: "t", BaseURL: "https://mp.example.com?x=1"}, "base_url"},
		{"service account", Settings{Token: "t", ServiceAccountUsername: "u", ServiceAccountSecret: "s", MixpanelProjectID: 1}, ""},
		{"service account without project", Settings{Token: "t", ServiceAccountUsername: "u", ServiceAccountSecret: "s"}, "mixpanel_project_id"},
		{"project alone", Settings{Token: "t", MixpanelProjectID: 1}, ""},
		{"no settling", Settings{Token: "t", AliasSettle: new(Duration(0))}, ""},
	}
	for _, test := range tests {
		err := test.settings.Validate()
		if test.about == "" && err != nil || test.about != "" && (err == nil || !strings.HasPrefix(err.Error(), test.about+" ")) {
			t.Errorf("%s: got %v, want a fault of %q", test.name, err, test.about)
		}
	}
}

func TestAddresses(t *testing.T) {
	for want, s := range map[string]Settings{
		"https://api.mixpanel.com":    {},
		"https://api-eu.mixpanel.com": {EnableEuropeanUnionEndpoint: true},
		"https://api-in.mixpanel.com": {Region: RegionIndia},
		"http://localhost:1/mp":       {BaseURL: "http://localhost:1/mp/", Region: RegionEU},
	} {
		if got := s.base(); got != want {
			t.Errorf("%+v goes to %s, want %s", s, got, want)
		}
	}
}
