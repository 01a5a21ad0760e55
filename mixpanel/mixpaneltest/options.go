package mixpaneltest

import (
	"errors"
	"fmt"
	"time"
)

// The project that a server has when its Options name none.
const (
	DefaultToken  = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e"
	DefaultSecret = "0ddba11c0ddba11c0ddba11c0ddba11c"
)

// wallClock is the real time, which the options may replace.
var wallClock = time.Now //nolint:forbidigo // the fake is a program of its own, at the edge

// SecretRetirement is the day from which Mixpanel no longer takes a project's API
// secret on /import. A server keeps to it when [Options].SecretAuthEnd says so.
var SecretRetirement = time.Date(2027, 3, 3, 0, 0, 0, 0, time.UTC)

// IDMerge is the way in which a project joins the identities of one person. It is
// a property of the Mixpanel project that no ingestion call can read or change.
type IDMerge string

const (
	// Legacy: $create_alias makes one id a pointer to another; the first wins.
	Legacy IDMerge = "legacy"
	// Original: $identify, $create_alias and $merge join ids into clusters.
	Original IDMerge = "original"
	// Simplified: an event with $user_id and $device_id links the two; identity events are refused.
	Simplified IDMerge = "simplified"
)

// Project is one Mixpanel project that a server plays.
type Project struct {
	// Token names the project in every message. Required, unique.
	Token string
	// Secret is the API secret for /import; "" if the project has none.
	Secret string
	// ServiceAccounts are user names with their secrets; they need ProjectID.
	ServiceAccounts map[string]string
	// ProjectID is the numeric id that goes with a service account.
	ProjectID string
	// Region is where the project lives: "us", "eu", "in", or "" for the server's region.
	// A message to a server of another region is accepted and lost, as with Mixpanel.
	Region string
	// IDMerge is how identities are joined; "" is Legacy.
	IDMerge IDMerge
	// GroupKeys are the group keys that the project's settings know. Profiles of
	// other keys are accepted and lost.
	GroupKeys []string
}

// Options configure a server. The zero value is useful: one legacy project with
// DefaultToken in the US region, the real clock, Mixpanel's published limits.
type Options struct {
	Projects []Project
	// Region is the region that this server plays: "us" (the default), "eu" or "in".
	Region string
	// Now is the clock by which records are judged; nil is the real one.
	Now func() time.Time
	// Limits are what a request may contain; zero fields take Mixpanel's published value.
	Limits Limits

	// CompactByDay also merges events of one name, distinct id, $insert_id and UTC day
	// whose times differ, as Mixpanel's later compaction does at no promised moment.
	CompactByDay bool
	// AliasSettle is how long an alias needs until it works; messages for its ids that
	// come earlier are a violation, and in a legacy project land on a separate profile.
	// 0 is one second, a negative value none.
	AliasSettle time.Duration
	// ReplayByTime applies a profile's updates in the order of their $time instead of
	// their arrival, and loses an update whose $time and one of whose keys equal those
	// of an earlier one: a hazard that older notes on Mixpanel describe.
	ReplayByTime bool
	// EngageStrictAnswers makes /engage and /groups with strict=1 answer with a list of
	// the failed records. Mixpanel's answer to that parameter is unpublished.
	EngageStrictAnswers bool
	// LenientAnswers makes /track, /engage and /groups answer 1 when at least one record
	// was valid. Mixpanel's documents say this in one place and "1 if all were valid" in
	// another; the second is the default because it hides nothing.
	LenientAnswers bool
	// SecretAuthEnd is when project secrets stop working; zero is never. See SecretRetirement.
	SecretAuthEnd time.Time

	// KeepEvents bounds how many events each project keeps, the newest; 0 keeps all.
	// Counters go on counting.
	KeepEvents int
	// KeepRequests bounds how many requests are kept, the newest; 0 is 10,000.
	KeepRequests int
	// KeepFindings bounds how many violations, orphans and dropped events are kept, the
	// oldest of each; 0 is 10,000. Counters go on counting.
	KeepFindings int
}

// Limits are the bounds of requests and records. A zero field takes the value
// given in its comment, which is Mixpanel's.
type Limits struct {
	RequestBytes      int           // uncompressed body: 10 MiB
	Records           int           // records of one request: 2000
	RecordBytes       int           // one record: 1 MiB
	EventProperties   int           // properties of one event: 254
	ListElements      int           // elements of a list in an event: 254
	ListBytes         int           // JSON bytes of a list in an event: 8 KiB
	ObjectKeys        int           // keys of an object in an event: 254
	ObjectDepth       int           // levels of objects below "properties": 3
	StringBytes       int           // longer strings are stored cut: 255
	NameBytes         int           // longer names are stored cut: 255
	ProfileProperties int           // properties of one profile: 2000
	ProfileValueBytes int           // one list or object of a profile: 256 KiB
	ClusterIDs        int           // ids that original merge may join: 500
	TrackAge          time.Duration // oldest event on /track: 5 days
	Future            time.Duration // how far an event may lie ahead: 1 hour

	// A project's rate over a rolling minute on /import and /track, above which it is
	// answered 429. 0 is no limit; Mixpanel's are about 1,800,000 events and 2 GB.
	EventsPerMinute int
	BytesPerMinute  int
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.RequestBytes, 10 << 20},
		{&l.Records, 2000},
		{&l.RecordBytes, 1 << 20},
		{&l.EventProperties, 254},
		{&l.ListElements, 254},
		{&l.ListBytes, 8 << 10},
		{&l.ObjectKeys, 254},
		{&l.ObjectDepth, 3},
		{&l.StringBytes, 255},
		{&l.NameBytes, 255},
		{&l.ProfileProperties, 2000},
		{&l.ProfileValueBytes, 256 << 10},
		{&l.ClusterIDs, 500},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if l.TrackAge == 0 {
		l.TrackAge = 5 * 24 * time.Hour
	}
	if l.Future == 0 {
		l.Future = time.Hour
	}
	return l
}

func (o Options) withDefaults() Options {
	if len(o.Projects) == 0 {
		o.Projects = []Project{{Token: DefaultToken, Secret: DefaultSecret}}
	}
	if o.Region == "" {
		o.Region = "us"
	}
	if o.Now == nil {
		o.Now = wallClock
	}
	if o.AliasSettle == 0 {
		o.AliasSettle = time.Second
	}
	if o.KeepRequests == 0 {
		o.KeepRequests = 10_000
	}
	if o.KeepFindings == 0 {
		o.KeepFindings = 10_000
	}
	o.Limits = o.Limits.withDefaults()
	return o
}

// Validate reports everything that is wrong with the options, or nil.
func (o Options) Validate() error {
	var errs []error
	region := func(where, r string) {
		switch r {
		case "", "us", "eu", "in":
		default:
			errs = append(errs, fmt.Errorf("%s: unknown region %q, use us, eu or in", where, r))
		}
	}
	region("options", o.Region)
	seen := map[string]bool{}
	for i, p := range o.Projects {
		where := fmt.Sprintf("project %d", i+1)
		switch {
		case p.Token == "":
			errs = append(errs, fmt.Errorf("%s: it has no token", where))
		case seen[p.Token]:
			errs = append(errs, fmt.Errorf("%s: its token is that of an earlier project", where))
		}
		seen[p.Token] = true
		region(where, p.Region)
		switch p.IDMerge {
		case "", Legacy, Original, Simplified:
		default:
			errs = append(errs, fmt.Errorf("%s: unknown id merge %q, use legacy, original or simplified", where, p.IDMerge))
		}
		if len(p.ServiceAccounts) > 0 && p.ProjectID == "" {
			errs = append(errs, fmt.Errorf("%s: service accounts need a project id", where))
		}
	}
	for _, n := range []int{o.KeepEvents, o.KeepRequests, o.KeepFindings} {
		if n < 0 {
			errs = append(errs, errors.New("options: a negative number of things to keep"))
			break
		}
	}
	return errors.Join(errs...)
}
