package identity

import "slices"

// Eligible says whether a computation may hold a profile with these ids: one that is
// known by a user_id, an email or an advertising id, or, with includeAnonymous, by an
// anonymous_id.
func Eligible(links []Link, includeAnonymous bool) bool {
	return slices.ContainsFunc(links, func(l Link) bool {
		switch l.ID.Type {
		case UserID, Email, AndroidIDFA, IOSIDFA:
			return true
		case AnonymousID:
			return includeAnonymous
		}
		return false
	})
}

// Strategy says which values of each id type a destination hears about.
type Strategy string

// The strategies. The empty Strategy is [All].
const (
	All   Strategy = "all"
	First Strategy = "first" // the oldest
	Last  Strategy = "last"  // the newest
)

// Valid says whether s is one of the strategies.
func (s Strategy) Valid() bool { return s == "" || s == All || s == First || s == Last }

// MaxCombinations is how many calls one change of one profile makes at most.
const MaxCombinations = 100

// Targets are the id combinations under which a destination hears about a profile.
type Targets struct {
	// Combinations in the order in which they are told: the oldest email first, so
	// that the newest is the one that stays with the destination; then anonymous ids.
	Combinations []Combination
	// Excess is how many combinations were cut to keep to MaxCombinations:
	// those of the oldest anonymous ids first, then those of the oldest emails.
	Excess int
	// Undeliverable says why there is no combination, or is empty.
	Undeliverable string
}

// FanOut works out the combinations of a profile's ids: every user_id with every email,
// and, with includeAnonymous, every anonymous_id alone. Emails of a profile without a
// user_id are carried by its latest anonymous_id.
func FanOut(links []Link, includeAnonymous bool, strategy Strategy) Targets {
	if !slices.IsSortedFunc(links, Link.compare) {
		links = slices.Clone(links)
		slices.SortFunc(links, Link.compare)
	}
	users := strategy.pick(values(links, UserID))
	emails := strategy.pick(values(links, Email))
	visitors := values(links, AnonymousID)
	var alone []string // the anonymous ids that are told by themselves
	if includeAnonymous {
		alone = strategy.pick(visitors)
	}

	var carriers []Combination
	switch {
	case len(users) > 0:
		for _, user := range users {
			carriers = append(carriers, Combination{UserID: user})
		}
	case len(emails) > 0 && len(visitors) > 0:
		carriers = []Combination{{AnonymousID: visitors[len(visitors)-1]}}
	}

	var t Targets
	wanted := len(carriers)*max(len(emails), 1) + len(alone)
	carriers = newest(carriers, MaxCombinations)
	if len(carriers) > 0 {
		emails = newest(emails, MaxCombinations/len(carriers))
	}
	for _, carrier := range carriers {
		if len(emails) == 0 {
			t.Combinations = append(t.Combinations, carrier)
		}
		for _, email := range emails {
			carrier.Email = email
			t.Combinations = append(t.Combinations, carrier)
		}
	}
	for _, visitor := range newest(alone, MaxCombinations-len(t.Combinations)) {
		t.Combinations = append(t.Combinations, Combination{AnonymousID: visitor})
	}
	t.Excess = wanted - len(t.Combinations)
	if len(t.Combinations) == 0 {
		t.Undeliverable = undeliverable(len(emails), len(visitors))
	}
	return t
}

// undeliverable words why a profile cannot be told about.
func undeliverable(emails, visitors int) string {
	switch {
	case emails > 0:
		return "the profile has an email, but neither a user_id nor an anonymous_id to carry it"
	case visitors > 0:
		return "the profile has no user_id or email, and the computation does not include anonymous users"
	}
	return "the profile has no user_id, email or anonymous_id"
}

// values is the values of one type, in the order of the links.
func values(links []Link, typ string) []string {
	var found []string
	for _, link := range links {
		if link.ID.Type == typ {
			found = append(found, link.ID.Value)
		}
	}
	return found
}

// pick chooses from values that are ordered by age, the oldest first.
func (s Strategy) pick(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	switch s {
	case First:
		return values[:1]
	case Last:
		return values[len(values)-1:]
	case All, "":
	}
	return values
}

// newest is the last n of values that are ordered by age, or all if there are fewer.
func newest[T any](values []T, n int) []T { return values[max(len(values)-n, 0):] }
