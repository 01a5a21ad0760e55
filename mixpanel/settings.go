package mixpanel

import (
	"cmp"
	"strings"
	"time"

	"muster/engine"
)

// Settings configures one Mixpanel destination. The zero value plus a Token is
// usable; a nil pointer, an empty text and a zero number mean the default.
// [Settings.Validate] tells what is wrong with the rest.
type Settings struct {
	// Token is the project token: in every event, and what a profile record is addressed with.
	Token Secret `json:"token" yaml:"token"`

	// Credentials of /import. The first complete one is used: service account, API
	// secret, project token. Mixpanel turns API secrets off on 3 March 2027.
	APISecret              Secret `json:"api_secret,omitempty" yaml:"api_secret,omitempty"`
	ServiceAccountUsername string `json:"service_account_username,omitempty" yaml:"service_account_username,omitempty"`
	ServiceAccountSecret   Secret `json:"service_account_secret,omitempty" yaml:"service_account_secret,omitempty"`
	// MixpanelProjectID is the number Mixpanel gives a project; a service account needs it.
	MixpanelProjectID int64 `json:"mixpanel_project_id,omitempty" yaml:"mixpanel_project_id,omitempty"`

	// Which events a page or screen call becomes. ConsolidatedPageCalls unset means:
	// on exactly when the other three are off.
	ConsolidatedPageCalls *bool `json:"consolidated_page_calls,omitempty" yaml:"consolidated_page_calls,omitempty"`
	TrackAllPages         bool  `json:"track_all_pages,omitempty" yaml:"track_all_pages,omitempty"`
	TrackCategorizedPages bool  `json:"track_categorized_pages,omitempty" yaml:"track_categorized_pages,omitempty"`
	TrackNamedPages       bool  `json:"track_named_pages,omitempty" yaml:"track_named_pages,omitempty"`

	// People (default true) writes user profiles; off, nothing goes to /engage.
	People *bool `json:"people,omitempty" yaml:"people,omitempty"`
	// SetAllTraitsByDefault (default true); off, profiles get the special traits and
	// PeopleProperties only, and events get only SuperProperties of context.traits.
	SetAllTraitsByDefault *bool    `json:"set_all_traits_by_default,omitempty" yaml:"set_all_traits_by_default,omitempty"`
	PeopleProperties      []string `json:"people_properties,omitempty" yaml:"people_properties,omitempty"`
	SuperProperties       []string `json:"super_properties,omitempty" yaml:"super_properties,omitempty"`
	// LegacySuperProperties puts a "$" before the names of context.traits on events.
	LegacySuperProperties bool `json:"legacy_super_properties,omitempty" yaml:"legacy_super_properties,omitempty"`

	// EventIncrements and PropIncrements count on the profile of a known user; names ignore case.
	EventIncrements []string `json:"event_increments,omitempty" yaml:"event_increments,omitempty"`
	PropIncrements  []string `json:"prop_increments,omitempty" yaml:"prop_increments,omitempty"`

	// GroupIdentifierTraits are the group keys of the Mixpanel project; without them
	// group calls send nothing. GroupTraitsToSetOnce never overwrite.
	GroupIdentifierTraits []string `json:"group_identifier_traits,omitempty" yaml:"group_identifier_traits,omitempty"`
	GroupTraitsToSetOnce  []string `json:"group_traits_to_set_once,omitempty" yaml:"group_traits_to_set_once,omitempty"`

	// SourceName, if not blank, is segment_source_name on every event.
	SourceName string `json:"source_name,omitempty" yaml:"source_name,omitempty"`

	// Region is us, eu or in; "" follows EnableEuropeanUnionEndpoint. BaseURL replaces
	// the host, for proxies and test servers.
	EnableEuropeanUnionEndpoint bool   `json:"enable_european_union_endpoint,omitempty" yaml:"enable_european_union_endpoint,omitempty"`
	Region                      string `json:"region,omitempty" yaml:"region,omitempty"`
	BaseURL                     string `json:"base_url,omitempty" yaml:"base_url,omitempty"`

	// Settings of the browser library, for pages that tell Mixpanel themselves; see ForBrowsers.
	// They change nothing that is sent from here.
	CrossSubdomainCookie *bool  `json:"cross_subdomain_cookie,omitempty" yaml:"cross_subdomain_cookie,omitempty"` // default true
	Persistence          string `json:"persistence,omitempty" yaml:"persistence,omitempty"`                       // cookie (default) or localStorage
	SecureCookie         bool   `json:"secure_cookie,omitempty" yaml:"secure_cookie,omitempty"`

	// Strict (default true) makes /import validate and report every event.
	Strict *bool `json:"strict,omitempty" yaml:"strict,omitempty"`
	// EventEndpoint is import (default), or auto: events of the last 5 days to /track.
	EventEndpoint string `json:"event_endpoint,omitempty" yaml:"event_endpoint,omitempty"`
	// IDMerge must say how the Mixpanel project merges ids: legacy (default), original, simplified.
	IDMerge string `json:"id_merge,omitempty" yaml:"id_merge,omitempty"`
	// AliasWhenKnown tells Mixpanel that what it was told under an anonymous id belongs to the
	// user id that is told next, for audiences and traits that include anonymous people.
	// Unset means: as [Settings.Aliasing] says.
	AliasWhenKnown *bool `json:"alias_when_known,omitempty" yaml:"alias_when_known,omitempty"`
	// ProjectID is the id of the source or space; part of every $insert_id.
	ProjectID string `json:"project_id,omitempty" yaml:"project_id,omitempty"`
	// InsertIDNamespace is a UUID, default [DefaultInsertIDNamespace].
	InsertIDNamespace string `json:"insert_id_namespace,omitempty" yaml:"insert_id_namespace,omitempty"`
	// ComputedCallsTouchProfile lets computed calls move the "Last Seen" of a profile, as what
	// people do themselves does. Cleanups never do, and nothing computed moves the place.
	ComputedCallsTouchProfile bool `json:"computed_calls_touch_profile,omitempty" yaml:"computed_calls_touch_profile,omitempty"`

	// Limits of one request: records (2,000 events, 200 profiles) and bytes before
	// compression (2,000,000).
	MaxEventsPerRequest   int `json:"max_events_per_request,omitempty" yaml:"max_events_per_request,omitempty"`
	MaxProfilesPerRequest int `json:"max_profiles_per_request,omitempty" yaml:"max_profiles_per_request,omitempty"`
	MaxRequestBytes       int `json:"max_request_bytes,omitempty" yaml:"max_request_bytes,omitempty"`
	// Pace per destination: events a second (25,000) and bytes a minute (1,800,000,000).
	EventsPerSecond int `json:"events_per_second,omitempty" yaml:"events_per_second,omitempty"`
	BytesPerMinute  int `json:"bytes_per_minute,omitempty" yaml:"bytes_per_minute,omitempty"`
	// RequestTimeout (30s) bounds one request from its first byte to the end of the answer.
	RequestTimeout Duration `json:"request_timeout,omitempty" yaml:"request_timeout,omitempty"`
	// AliasSettle (1s) is how long Mixpanel needs after an alias before newer messages
	// of the two ids may follow.
	AliasSettle *Duration `json:"alias_settle,omitempty" yaml:"alias_settle,omitempty"`
}

// Duration is a time.Duration that is written as text: "1s", "250ms".
type Duration time.Duration

// MarshalText writes the duration as time.Duration prints it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration accepts.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// The values of Settings.Region, EventEndpoint and IDMerge.
const (
	RegionUS    = "us"
	RegionEU    = "eu"
	RegionIndia = "in"

	EventsToImport = "import"
	EventsAuto     = "auto"

	MergeLegacy     = "legacy"
	MergeOriginal   = "original"
	MergeSimplified = "simplified"
)

var regionHosts = map[string]string{
	RegionUS:    "https://api.mixpanel.com",
	RegionEU:    "https://api-eu.mixpanel.com",
	RegionIndia: "https://api-in.mixpanel.com",
}

// region is the effective region.
func (s *Settings) region() string {
	switch {
	case s.Region != "":
		return s.Region
	case s.EnableEuropeanUnionEndpoint:
		return RegionEU
	}
	return RegionUS
}

// base is where requests go, without a slash at the end.
func (s *Settings) base() string {
	if s.BaseURL != "" {
		return strings.TrimRight(s.BaseURL, "/")
	}
	return regionHosts[s.region()]
}

// consolidated resolves the tri-state: unset is on exactly when no other page option is.
func (s *Settings) consolidated() bool {
	if s.ConsolidatedPageCalls != nil {
		return *s.ConsolidatedPageCalls
	}
	return !s.TrackAllPages && !s.TrackCategorizedPages && !s.TrackNamedPages
}

// settle is the effective AliasSettle.
func (s *Settings) settle() time.Duration {
	if s.AliasSettle == nil {
		return time.Second
	}
	return time.Duration(*s.AliasSettle)
}

// Aliasing is how the destination is told that somebody anonymous has become known, who
// was told under an anonymous id. forwards: it is also sent the calls of sources, and so
// the aliases among them. A project with legacy id merge takes an alias only before it
// knows the user id, which with such calls it mostly does: there it is off unless
// AliasWhenKnown says otherwise. A project with simplified id merge links ids by events
// that carry both, and not what profiles hold: there it is off as well.
func (s *Settings) Aliasing(forwards bool) engine.Aliasing {
	on := map[string]engine.Aliasing{
		MergeLegacy: engine.AliasOnce, MergeOriginal: engine.AliasIdentify, MergeSimplified: engine.AliasEach,
	}[cmp.Or(s.IDMerge, MergeLegacy)]
	switch {
	case s.AliasWhenKnown != nil && !*s.AliasWhenKnown:
		return engine.AliasNever
	case s.AliasWhenKnown == nil && (on == engine.AliasEach || on == engine.AliasOnce && forwards):
		return engine.AliasNever
	}
	return on
}

// orTrue is the value of a switch that is on by default.
func orTrue(b *bool) bool { return b == nil || *b }
