package identity

// Rule names the identity rule that kept an id of a call from identifying its profile.
type Rule string

// The rules.
const (
	BlockedValue Rule = "blocked_value" // on a block list
	TooLong      Rule = "too_long"      // longer than MaxIDLength
	Malformed    Rule = "malformed"     // no text, or without a proper type
	ValueLimit   Rule = "value_limit"   // a profile would hold too many values of a type
	TimeLimit    Rule = "time_limit"    // the same within a period
	MergeLimit   Rule = "merge_limit"   // the profile has been merged too often
	MappingLimit Rule = "mapping_limit" // the profile holds too many ids
)

// Violation is an id of a call that was left out, and why. It stays in the stored call.
type Violation struct {
	ID     ID // of one that is too long or no text only what can be stored
	Rule   Rule
	Reason string // a phrase for people
}
