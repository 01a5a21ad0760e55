package mixpanel

// A Rejection is why a call can never be sent to Mixpanel. It is permanent: the call
// belongs to the dead letters, a retry gives the same answer.
type Rejection struct {
	Code   Code
	Reason string // a sentence for people
	Hint   string // where to look, or ""
}

func (r *Rejection) Error() string {
	if r.Hint == "" {
		return r.Reason
	}
	return r.Reason + " (" + r.Hint + ")"
}

// Code names the kind of a rejection. Codes are stable: they are counted and filtered by.
type Code string

// The codes of the mapper.
const (
	CodeNoDistinctID    Code = "distinct_id_missing"
	CodeBadDistinctID   Code = "distinct_id_refused"
	CodeTooOld          Code = "time_too_old"
	CodeNoEventName     Code = "event_name_missing"
	CodeNoMessageID     Code = "message_id_missing"
	CodeAliasIncomplete Code = "alias_incomplete"
	CodeTooManyNames    Code = "too_many_properties"
	CodeListTooLong     Code = "list_too_long"
	CodeObjectTooLarge  Code = "object_too_large"
	CodeTooLarge        Code = "too_large"
	CodeBadJSON         Code = "invalid_json"
	CodeUnknownType     Code = "unknown_call_type"
	CodeNothingToUnset  Code = "unset_names_missing"
)

func reject(code Code, reason string) *Rejection { return &Rejection{Code: code, Reason: reason} }
