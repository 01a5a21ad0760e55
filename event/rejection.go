package event

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Code is a short stable name of a reason, for counting, filtering and tests.
type Code string

// Reasons to refuse a whole request body.
const (
	CodeInvalidJSON   Code = "invalid_json"     // not JSON, or more than one JSON value
	CodeInvalidBatch  Code = "invalid_batch"    // no "batch" array in it
	CodeBatchTooLarge Code = "batch_too_large"  // more than Envelope.MaxBatchBytes
	CodeTooManyEvents Code = "too_many_events"  // more than MaxBatchEvents messages
	CodeInvalidFormat Code = "invalid_encoding" // compressed text that cannot be read
)

// Reasons to refuse one message.
const (
	CodeInvalidMessage      Code = "invalid_message"        // not a JSON object
	CodeInvalidUTF8         Code = "invalid_utf8"           // bad UTF-8 or half a surrogate pair
	CodeInvalidCharacter    Code = "invalid_character"      // a NUL character, which PostgreSQL cannot store
	CodeDuplicateKey        Code = "duplicate_key"          // the same key twice in one object
	CodeTooDeep             Code = "too_deep"               // nested deeper than MaxDepth
	CodeNumberOutOfRange    Code = "number_out_of_range"    // a number that no client means seriously
	CodeInvalidField        Code = "invalid_field"          // a field of the wrong JSON type
	CodeMessageTooLarge     Code = "message_too_large"      // more than Envelope.MaxBytes
	CodeInvalidType         Code = "invalid_type"           // none of the six calls
	CodeNoUserAnonID        Code = "no_user_anon_id"        // an id that the type needs is absent
	CodeMissingEvent        Code = "missing_event"          // track without an event name
	CodeEventNameTooLong    Code = "event_name_too_long"    // more than MaxEventNameBytes
	CodeMessageIDTooLong    Code = "message_id_too_long"    // more than MaxMessageID characters
	CodeGroupIDTooLong      Code = "group_id_too_long"      // more than MaxGroupID characters
	CodeEmptyGroupID        Code = "empty_group_id"         // groupId is ""
	CodeTimestampOutOfRange Code = "timestamp_out_of_range" // before 1970-01-01
	CodeSuppressed          Code = "suppressed"             // its subject must not be tracked; decided where profiles are known
)

// Reasons to keep a valid call from all profiles ([Call.ProfileSkip]). An
// identify with too many traits is refused outright.
const (
	CodeTooManyTraits     Code = "too_many_traits"
	CodeTooManyProperties Code = "too_many_properties"
	CodePersonasDisabled  Code = "personas_disabled"
)

// Doubts that do not stop a call ([Call.Warnings]).
const (
	CodeUnreadableTimestamp Code = "unreadable_timestamp" // taken as absent
	CodeTimestampInFuture   Code = "timestamp_in_future"  // set to ReceivedAt
)

// Limits of a message. Characters are Unicode code points.
const (
	MaxMessageID      = 100   // characters
	MaxGroupID        = 500   // characters
	MaxEventNameBytes = 1_024 // bytes, so that the name fits an index entry
	MaxIdentifyTraits = 299   // an identify with more is refused
	MaxMembers        = 300   // members of properties or group traits that profiles read
	MaxDepth          = 64    // objects and arrays within each other, the message itself included
	MaxBatchEvents    = 2_500 // messages in one batch
)

// Rejection is the error of a message or a request body that is refused for good:
// sending the same text again cannot succeed.
type Rejection struct {
	Code    Code
	Message string // a sentence for the developer who sent it
	Field   string // the field or the JSON pointer at fault; "" when it is the whole text
}

// Error gives code, place and sentence.
func (r *Rejection) Error() string {
	if r.Field == "" {
		return fmt.Sprintf("%s: %s", r.Code, r.Message)
	}
	return fmt.Sprintf("%s at %s: %s", r.Code, r.Field, r.Message)
}

// Warning is a doubt about a field of an accepted call.
type Warning struct {
	Code  Code
	Field string
}

// reject builds a Rejection whose place can be printed and stored anywhere,
// whatever the client wrote into its keys.
func reject(code Code, field, format string, args ...any) *Rejection {
	return &Rejection{Code: code, Field: printable(field), Message: fmt.Sprintf(format, args...)}
}

// maxPrintable is the length, in bytes, to which client text is cut in messages.
const maxPrintable = 200

// printable makes client text safe to show and to store: short, valid UTF-8,
// without control characters.
func printable(s string) string {
	if len(s) > maxPrintable {
		s = s[:maxPrintable] + "..."
	}
	clean := func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return '?'
		}
		return r
	}
	return strings.Map(clean, s)
}
