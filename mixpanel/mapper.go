package mixpanel

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"muster/event"
)

// Mapper turns calls into Mixpanel's messages. It is immutable and safe for concurrent use.
type Mapper struct {
	token       []byte // as a JSON string
	sourceName  []byte // as a JSON string, or nil
	projectID   string
	namespace   uuid.UUID
	idMerge     string
	autoTrack   bool // recent events go to /track
	people      bool
	allTraits   bool
	legacySuper bool

	computedTouch bool // computed calls move "Last Seen"

	peopleProperties map[string]bool
	superProperties  map[string]bool
	eventIncrements  map[string]bool // lower case
	propIncrements   map[string]bool // lower case
	groupKeys        []string
	groupOnce        map[string]bool

	consolidated, allPages, categorizedPages, namedPages bool

	drafts sync.Pool
}

// NewMapper prepares the mapping for settings; the error is that of [Settings.Validate].
func NewMapper(s Settings) (*Mapper, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("mixpanel settings: %w", err)
	}
	m := &Mapper{
		token:       appendString(nil, s.Token.Reveal()),
		projectID:   s.ProjectID,
		namespace:   uuid.MustParse(cmp.Or(s.InsertIDNamespace, DefaultInsertIDNamespace)),
		idMerge:     cmp.Or(s.IDMerge, MergeLegacy),
		autoTrack:   s.EventEndpoint == EventsAuto,
		people:      orTrue(s.People),
		allTraits:   orTrue(s.SetAllTraitsByDefault),
		legacySuper: s.LegacySuperProperties,

		computedTouch: s.ComputedCallsTouchProfile,

		peopleProperties: setOf(s.PeopleProperties),
		superProperties:  setOf(s.SuperProperties),
		eventIncrements:  setOf(lowered(s.EventIncrements)),
		propIncrements:   setOf(lowered(s.PropIncrements)),
		groupKeys:        s.GroupIdentifierTraits,
		groupOnce:        setOf(s.GroupTraitsToSetOnce),

		consolidated:     s.consolidated(),
		allPages:         s.TrackAllPages,
		categorizedPages: s.TrackCategorizedPages,
		namedPages:       s.TrackNamedPages,
	}
	if name := strings.TrimSpace(s.SourceName); name != "" {
		m.sourceName = appendString(nil, name)
	}
	m.drafts.New = func() any { return new(draft) }
	return m, nil
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

func lowered(names []string) []string {
	lower := make([]string, len(names))
	for i, n := range names {
		lower[i] = strings.ToLower(n)
	}
	return lower
}

// Map returns the messages that c becomes, in the order in which Mixpanel should
// get them; none when the settings or the call's integrations say so. now is the instant
// that the five-year rule counts from, and the time of a call that has none.
//
// The error is a [*Rejection]: c can never be sent.
func (m *Mapper) Map(c *event.Call, now time.Time) ([]Message, error) {
	meant, ok := meantForMixpanel(c.Integrations)
	if !ok {
		return nil, malformed("integrations")
	}
	if !meant {
		return nil, nil
	}
	d := m.drafts.Get().(*draft)
	defer func() {
		d.release()
		m.drafts.Put(d)
	}()
	d.Mapper, d.call = m, c
	if err := d.fill(now); err != nil {
		return nil, err
	}
	return d.out, nil
}

// meantForMixpanel reads a call's integrations: Mixpanel is left out by name, or by "All": false
// without being named.
func meantForMixpanel(integrations []byte) (meant, ok bool) {
	meant = true
	named := false
	var m member
	r := readObject(integrations)
	for r.next(&m) {
		switch string(m.name) {
		case "Mixpanel":
			if string(m.value) == "false" {
				meant = false
			}
			named = truthy(m.value)
		case "All", "all":
			if string(m.value) == "false" {
				meant = false
			}
		}
	}
	return meant || named, !r.bad
}

// truthy is JavaScript's idea of a value that means yes.
func truthy(value []byte) bool {
	switch string(value) {
	case "false", "null", "0", `""`:
		return false
	}
	return true
}

func malformed(field string) *Rejection {
	return reject(CodeBadJSON, field+" is not a well-formed JSON object")
}
