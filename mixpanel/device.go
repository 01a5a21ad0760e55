package mixpanel

import (
	"cmp"

	"github.com/go-json-experiment/json"
)

// integrationVersion is the version of the integration for browsers that the settings are
// written for. A library that gets no integration from its page loads this one.
const integrationVersion = "2.4.1"

// inBrowser is what the integration of a library in a browser takes. Of the credentials it
// has the project token alone, which every page with Mixpanel in it shows anyhow.
type inBrowser struct {
	Token string `json:"token"`

	People                bool     `json:"people"`
	ConsolidatedPageCalls bool     `json:"consolidatedPageCalls"`
	TrackAllPages         bool     `json:"trackAllPages"`
	TrackNamedPages       bool     `json:"trackNamedPages"`
	TrackCategorizedPages bool     `json:"trackCategorizedPages"`
	SetAllTraitsByDefault bool     `json:"setAllTraitsByDefault"`
	PeopleProperties      []string `json:"peopleProperties"`
	SuperProperties       []string `json:"superProperties"`
	EventIncrements       []string `json:"eventIncrements"`
	PropIncrements        []string `json:"propIncrements"`
	GroupIdentifierTraits []string `json:"groupIdentifierTraits"`

	CrossSubdomainCookie bool   `json:"crossSubdomainCookie"`
	SecureCookie         bool   `json:"secureCookie"`
	Persistence          string `json:"persistence"`
	CookieName           string `json:"cookieName"`
	NameTag              bool   `json:"nameTag"`

	SourceName                  string `json:"sourceName"`
	EnableEuropeanUnionEndpoint bool   `json:"enableEuropeanUnionEndpoint"`

	Type            string            `json:"type"`
	BundlingStatus  string            `json:"bundlingStatus"`
	VersionSettings componentVersions `json:"versionSettings"`
}

type componentVersions struct {
	Version        string   `json:"version"`
	ComponentTypes []string `json:"componentTypes"`
}

// IntegrationName is how Segment's libraries know Mixpanel: in the settings that they fetch,
// in the integrations of a call, and among those that a page has told itself.
const IntegrationName = bundledName

// ForBrowsers is the JSON that a library in a browser is given so that the page itself tells
// this project of its calls (device mode), under [IntegrationName]. It is public: the token is
// its only credential. It fails with what [Settings.ValidateForBrowsers] finds.
func (s *Settings) ForBrowsers() ([]byte, error) {
	if err := s.ValidateForBrowsers(); err != nil {
		return nil, err
	}
	list := func(names []string) []string { return append([]string{}, names...) } // the library adds to them: null would stop it
	return json.Marshal(inBrowser{
		Token: s.Token.Reveal(), People: orTrue(s.People),
		ConsolidatedPageCalls: s.consolidated(), TrackAllPages: s.TrackAllPages, TrackNamedPages: s.TrackNamedPages, TrackCategorizedPages: s.TrackCategorizedPages,
		SetAllTraitsByDefault: orTrue(s.SetAllTraitsByDefault), PeopleProperties: list(s.PeopleProperties), SuperProperties: list(s.SuperProperties),
		EventIncrements: list(s.EventIncrements), PropIncrements: list(s.PropIncrements), GroupIdentifierTraits: list(s.GroupIdentifierTraits),
		CrossSubdomainCookie: orTrue(s.CrossSubdomainCookie), SecureCookie: s.SecureCookie, Persistence: cmp.Or(s.Persistence, "cookie"), NameTag: true,
		SourceName: s.SourceName, EnableEuropeanUnionEndpoint: s.region() == RegionEU,
		Type: "browser", BundlingStatus: "bundled",
		VersionSettings: componentVersions{Version: integrationVersion, ComponentTypes: []string{"browser"}},
	})
}

// ValidateForBrowsers tells what keeps pages from telling this project themselves, as a
// [*SettingError]; nil if nothing does. What [Settings.Validate] finds comes on top.
func (s *Settings) ValidateForBrowsers() error {
	if s.region() == RegionIndia {
		return &SettingError{
			"region", `is "in", which the integration for browsers does not know: pages would tell the US`,
			"leave device_sources out, and name the sources in sources: their calls are then forwarded",
		}
	}
	return nil
}
