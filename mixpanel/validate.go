package mixpanel

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A SettingError is one fault in [Settings].
type SettingError struct {
	Setting string // its name in a settings file
	Problem string
	Remedy  string
}

func (e *SettingError) Error() string { return e.Setting + " " + e.Problem + "; " + e.Remedy }

// Ranges of the limits. Mixpanel takes 2,000 records and 10 MB a request.
const (
	maxRecords      = 2000
	minRequestBytes = 1_000
	maxRequestBytes = 10 << 20
	maxSettle       = time.Minute
	maxTimeout      = 10 * time.Minute
)

// Validate reports every fault at once, each a [*SettingError] that names the
// setting and the remedy; nil if the settings can be used. No secret is quoted.
func (s *Settings) Validate() error {
	var faults []error
	fault := func(setting, problem, remedy string) {
		faults = append(faults, &SettingError{setting, problem, remedy})
	}
	oneOf := func(setting, value string, allowed ...string) {
		if value != "" && !slices.Contains(allowed, value) {
			fault(setting, fmt.Sprintf("is %q", value), "use "+strings.Join(allowed, ", "))
		}
	}
	within := func(setting string, value, low, high int) {
		if value != 0 && (value < low || value > high) {
			fault(setting, fmt.Sprintf("is %d", value), fmt.Sprintf("use %d to %d, or leave it out", low, high))
		}
	}

	switch token := s.Token.Reveal(); {
	case strings.TrimSpace(token) == "":
		fault("token", "is missing", "copy the project token from Mixpanel's project settings")
	case !credential(token):
		fault("token", "has characters that no project token has", "copy it again from Mixpanel's project settings")
	}
	s.validateCredentials(fault)

	oneOf("region", s.Region, RegionUS, RegionEU, RegionIndia)
	if s.EnableEuropeanUnionEndpoint && s.Region != "" && s.Region != RegionEU {
		fault("region", fmt.Sprintf("is %q while enable_european_union_endpoint is on", s.Region),
			"set region to eu, or turn enable_european_union_endpoint off")
	}
	if problem := badBaseURL(s.BaseURL); problem != "" {
		fault("base_url", problem, "use an address such as https://mixpanel-proxy.example.com")
	}
	oneOf("event_endpoint", s.EventEndpoint, EventsToImport, EventsAuto)
	oneOf("id_merge", s.IDMerge, MergeLegacy, MergeOriginal, MergeSimplified)
	oneOf("persistence", s.Persistence, "cookie", "localStorage")
	if s.InsertIDNamespace != "" && uuid.Validate(s.InsertIDNamespace) != nil {
		fault("insert_id_namespace", "is not a UUID", "leave it out, or use the one your events were sent with so far")
	}

	for _, list := range []struct {
		setting string
		names   []string
	}{
		{"people_properties", s.PeopleProperties},
		{"super_properties", s.SuperProperties},
		{"event_increments", s.EventIncrements},
		{"prop_increments", s.PropIncrements},
		{"group_identifier_traits", s.GroupIdentifierTraits},
		{"group_traits_to_set_once", s.GroupTraitsToSetOnce},
	} {
		if i := slices.IndexFunc(list.names, func(n string) bool { return strings.TrimSpace(n) == "" }); i >= 0 {
			fault(list.setting, fmt.Sprintf("has a blank name at position %d", i+1), "remove it")
		}
	}

	within("max_events_per_request", s.MaxEventsPerRequest, 1, maxRecords)
	within("max_profiles_per_request", s.MaxProfilesPerRequest, 1, maxRecords)
	within("max_request_bytes", s.MaxRequestBytes, minRequestBytes, maxRequestBytes)
	within("events_per_second", s.EventsPerSecond, 1, 1_000_000)
	within("bytes_per_minute", s.BytesPerMinute, 60_000, 2_000_000_000)
	if t := time.Duration(s.RequestTimeout); t < 0 || t > maxTimeout {
		fault("request_timeout", "is "+t.String(), "use up to "+maxTimeout.String()+", or leave it out")
	}
	if t := s.settle(); t < 0 || t > maxSettle {
		fault("alias_settle", "is "+t.String(), "use 0s to "+maxSettle.String()+", or leave it out")
	}
	return errors.Join(faults...)
}

func (s *Settings) validateCredentials(fault func(setting, problem, remedy string)) {
	user, secret, project := s.ServiceAccountUsername != "", s.ServiceAccountSecret != "", s.MixpanelProjectID != 0
	if user || secret {
		const remedy = "a service account needs service_account_username, service_account_secret and mixpanel_project_id: give all three, or none"
		if !user {
			fault("service_account_username", "is missing", remedy)
		}
		if !secret {
			fault("service_account_secret", "is missing", remedy)
		}
		if !project {
			fault("mixpanel_project_id", "is missing", remedy)
		}
	}
	if s.MixpanelProjectID < 0 {
		fault("mixpanel_project_id", "is negative", "use the number in the address of the project's pages")
	}
	if s.APISecret != "" && !credential(s.APISecret.Reveal()) {
		fault("api_secret", "has characters that no API secret has", "copy it again from Mixpanel's project settings")
	}
	if strings.Contains(s.ServiceAccountUsername, ":") {
		fault("service_account_username", "contains a colon", "copy it again from Mixpanel's organization settings")
	}
	if s.ServiceAccountSecret == mask {
		fault("service_account_secret", "is a redacted copy", "enter the secret itself")
	}
}

// credential tells whether a text can be the user part of Basic authentication: visible
// ASCII without a colon, and not what a redacted copy of settings shows.
func credential(text string) bool {
	return text != mask && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
}

// badBaseURL tells what is wrong with an address that replaces Mixpanel's, or "".
// Plain HTTP would show the credentials to the network; only this machine may use it.
func badBaseURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return "is not an address"
	case u.User != nil:
		return "contains a user or password"
	case u.RawQuery != "" || u.Fragment != "":
		return "has a query or a fragment"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "is plain HTTP to another machine"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
