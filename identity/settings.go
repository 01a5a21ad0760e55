package identity

import (
	"fmt"
	"time"
)

// AnyType stands for every type of id in [Settings.Limits] and [Settings.Blocked].
const AnyType = "*"

// Settings are the identity rules as a person writes them. The zero value means the
// recommended rules, which [DefaultSettings] spells out. A change applies to later
// calls only: a profile that holds more than a new limit keeps what it has.
type Settings struct {
	// Limits is how many values of a type one profile may hold. A type that is not
	// named has the limit of "*", which is 5 unless it is named; user_id is 1 unless
	// it is named itself, because two users in one profile cannot be told apart again.
	Limits map[string]Limit `yaml:"limits,omitempty"`

	// Priority names types in the order in which a call keeps them when it has to
	// leave ids out: the last goes first. Types that are not named follow in the
	// order user_id, email, then alphabetically.
	Priority []string `yaml:"priority,omitempty"`

	// Blocked are values that are no identifiers, per type or for "*", every type. A
	// text between slashes is a regular expression (RE2), which matches anywhere
	// unless it is anchored; any other text is the exact value. Without an entry for
	// "*" the recommended values are blocked; an empty list there blocks nothing.
	Blocked map[string][]string `yaml:"blocked,omitempty"`

	// CustomKeys are id types of your own, in snake_case, that are also looked for as
	// keys, in snake_case and camelCase, of traits, context.traits and properties.
	CustomKeys []string `yaml:"custom_keys,omitempty"`

	// EmailFromProperties also takes properties.email as an email of the profile.
	EmailFromProperties bool `yaml:"email_from_properties,omitempty"`

	// MaxMerges is how many profiles may be merged into one; 0 means 100. Later calls
	// that would merge more go to the owner of their most important id.
	MaxMerges int `yaml:"max_merges,omitempty"`

	// MaxIDs is how many ids may be mapped to one profile; 0 means 1,000. Later ids
	// are left out.
	MaxIDs int `yaml:"max_ids,omitempty"`
}

// Limit is how many values of one type a profile may take on within a period. In YAML
// it is a number (of values ever) or {max: 5, period: weekly}.
type Limit struct {
	Max    int    `yaml:"max"` // at least 1
	Period Period `yaml:"period,omitempty"`
}

// String is the limit in words, such as "5 weekly".
func (l Limit) String() string { return fmt.Sprintf("%d %s", l.Max, l.Period.orEver()) }

// UnmarshalYAML takes a number or a mapping.
func (l *Limit) UnmarshalYAML(unmarshal func(any) error) error {
	var n int
	if unmarshal(&n) == nil {
		*l = Limit{Max: n}
		return nil
	}
	type mapping Limit
	return unmarshal((*mapping)(l))
}

// Period is the span, reaching back from a call, in which added values count towards
// a [Limit]. The empty period is [Ever].
type Period string

// The periods. They are of fixed length: 365, 30 and 7 days.
const (
	Ever     Period = "ever"
	Annually Period = "annually"
	Monthly  Period = "monthly"
	Weekly   Period = "weekly"
)

func (p Period) orEver() Period {
	if p == "" {
		return Ever
	}
	return p
}

// length is how far the period reaches back; 0 means without end.
func (p Period) length() time.Duration {
	const day = 24 * time.Hour
	switch p {
	case Annually:
		return 365 * day
	case Monthly:
		return 30 * day
	case Weekly:
		return 7 * day
	case Ever:
	}
	return 0
}

// recommendedBlocked are values that programs send when they know nobody: what Segment
// suggests to block, and what Mixpanel refuses as an identifier.
var recommendedBlocked = []string{
	`/^[0-]*$/`, // also the zero UUID that phones send when tracking is off
	`/^\s*$/`,
	`/(?i)^(-1|abc123|anon|anonymous|false|n/a|na|nil|<nil>|none|null|true|undefined|unknown|void|\[\]|\{\}|\[object object\])$/`,
}

// DefaultSettings spells out what the zero Settings mean.
func DefaultSettings() Settings {
	return Settings{
		Limits:    map[string]Limit{UserID: {Max: 1, Period: Ever}, AnyType: {Max: 5, Period: Ever}},
		Priority:  []string{UserID, Email},
		Blocked:   map[string][]string{AnyType: append([]string(nil), recommendedBlocked...)},
		MaxMerges: 100,
		MaxIDs:    1000,
	}
}

// Validate reports every fault of the settings at once, each with the place of the fault.
func (s Settings) Validate() error {
	_, err := s.Compile()
	return err
}
