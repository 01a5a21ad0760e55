package identity

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Rules are checked [Settings], ready for use. They are never changed and may be
// shared by any number of goroutines.
type Rules struct {
	limits       map[string]Limit
	defaultLimit Limit
	rank         map[string]int // position in Settings.Priority
	blocked      map[string][]pattern
	custom       []customKey
	emailInProps bool
	maxMerges    int
	maxIDs       int
}

// pattern is one entry of a block list.
type pattern struct {
	text  string
	regex *regexp.Regexp // nil: the text is the exact value
}

func (p pattern) matches(value string) bool {
	if p.regex != nil {
		return p.regex.MatchString(value)
	}
	return p.text == value
}

// Compile checks the settings, reporting every fault at once, and makes them ready.
func (s Settings) Compile() (*Rules, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	defaults := DefaultSettings()
	r := &Rules{
		limits:       map[string]Limit{UserID: defaults.Limits[UserID]},
		defaultLimit: defaults.Limits[AnyType],
		rank:         make(map[string]int),
		blocked:      make(map[string][]pattern),
		emailInProps: s.EmailFromProperties,
		maxMerges:    cmp.Or(s.MaxMerges, defaults.MaxMerges),
		maxIDs:       cmp.Or(s.MaxIDs, defaults.MaxIDs),
	}

	for _, typ := range slices.Sorted(maps.Keys(s.Limits)) {
		limit := s.Limits[typ]
		if typ != AnyType {
			checkType(fault, "limits", typ)
		}
		if limit.Max < 1 {
			fault("limits.%s: max is %d; it must be at least 1 (to ignore a type, block /.*/ for it)", typ, limit.Max)
		}
		switch limit.Period {
		case "", Ever, Annually, Monthly, Weekly:
		default:
			fault("limits.%s: unknown period %q; use ever, annually, monthly or weekly", typ, limit.Period)
		}
		if typ == AnyType {
			r.defaultLimit = limit
		} else {
			r.limits[typ] = limit
		}
	}

	for i, typ := range s.Priority {
		checkType(fault, "priority", typ)
		if _, twice := r.rank[typ]; twice {
			fault("priority: %s is named twice", typ)
		}
		r.rank[typ] = i
	}

	blocked := maps.Clone(s.Blocked)
	if _, own := blocked[AnyType]; !own {
		if blocked == nil {
			blocked = make(map[string][]string)
		}
		blocked[AnyType] = recommendedBlocked
	}
	for _, typ := range slices.Sorted(maps.Keys(blocked)) {
		if typ != AnyType {
			checkType(fault, "blocked", typ)
		}
		for i, text := range blocked[typ] {
			p, err := parsePattern(text)
			if err != nil {
				fault("blocked.%s[%d]: %w", typ, i, err)
				continue
			}
			r.blocked[typ] = append(r.blocked[typ], p)
		}
	}

	for i, key := range s.CustomKeys {
		checkType(fault, "custom_keys", key)
		if slices.Contains(s.CustomKeys[:i], key) {
			fault("custom_keys: %s is named twice", key)
		}
		switch key {
		case UserID, Email, AnonymousID:
			fault("custom_keys: %s is always read from its own place", key)
		}
		r.custom = append(r.custom, newCustomKey(key))
	}

	if s.MaxMerges < 0 {
		fault("max_merges: %d is negative", s.MaxMerges)
	}
	if s.MaxIDs < 0 {
		fault("max_ids: %d is negative", s.MaxIDs)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return r, nil
}

// checkType reports a type name that no id can have, as it would never apply.
func checkType(fault func(string, ...any), place, typ string) {
	id := ID{Type: typ}
	if why := id.malformed(); why != "" {
		fault("%s: type %q: %s", place, typ, why)
	} else if normal := id.Normal().Type; normal != typ {
		fault("%s: type %q must be written %q", place, typ, normal)
	}
}

// parsePattern reads one entry of a block list.
func parsePattern(text string) (pattern, error) {
	if len(text) < 2 || text[0] != '/' || !strings.HasSuffix(text, "/") {
		return pattern{text: text}, nil
	}
	if text == "//" {
		return pattern{}, fmt.Errorf("an empty regular expression matches everything; write /.*/ if that is meant")
	}
	regex, err := regexp.Compile(text[1 : len(text)-1])
	if err != nil {
		return pattern{}, fmt.Errorf("%s is not a regular expression of RE2 syntax: %w", text, err)
	}
	return pattern{text: text, regex: regex}, nil
}

// limit is the limit of a type.
func (r *Rules) limit(typ string) Limit {
	if l, ok := r.limits[typ]; ok {
		return l
	}
	return r.defaultLimit
}

// comparePriority orders types, the most important first.
func (r *Rules) comparePriority(a, b string) int {
	if a == b {
		return 0
	}
	return cmp.Or(cmp.Compare(r.rankOf(a), r.rankOf(b)), strings.Compare(a, b))
}

// rankOf is the place of a type in the order of importance; types of equal rank are
// ordered by name.
func (r *Rules) rankOf(typ string) int {
	if rank, ok := r.rank[typ]; ok {
		return rank
	}
	switch typ {
	case UserID:
		return len(r.rank)
	case Email:
		return len(r.rank) + 1
	}
	return len(r.rank) + 2
}

// admit says whether an id in normal form may identify a profile, and else why not.
func (r *Rules) admit(id ID) (Violation, bool) {
	if why := id.malformed(); why != "" {
		return Violation{ID: id.storable(), Rule: Malformed, Reason: why}, false
	}
	if tooLong(id.Value) {
		return Violation{ID: id.storable(), Rule: TooLong, Reason: fmt.Sprintf("longer than %d characters", MaxIDLength)}, false
	}
	for _, typ := range [...]string{AnyType, id.Type} {
		for _, p := range r.blocked[typ] {
			if p.matches(id.Value) {
				return Violation{ID: id, Rule: BlockedValue, Reason: fmt.Sprintf("blocked by %s for %s", p.text, typ)}, false
			}
		}
	}
	return Violation{}, true
}
