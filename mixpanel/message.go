package mixpanel

// Endpoint is a path of Mixpanel's ingestion API.
type Endpoint string

// The endpoints in use.
const (
	Import Endpoint = "/import" // events, authenticated
	Track  Endpoint = "/track"  // events of the last five days, and identity events
	Engage Endpoint = "/engage" // user profiles
	Groups Endpoint = "/groups" // group profiles
)

// Class says what sending a message twice does, and whether it may travel with others.
type Class uint8

const (
	// ClassEvent is deduplicated by Mixpanel: repeating it is harmless.
	ClassEvent Class = iota
	// ClassProfile is an idempotent profile operation ($set, $set_once, $union,
	// $unset): repeating it in order is harmless.
	ClassProfile
	// ClassIncrement is $add or $append: every repetition counts again.
	ClassIncrement
	// ClassIdentity is an identity event. It travels alone: whatever is older must be
	// acknowledged before it, and it before whatever is newer. Repeating it is harmless.
	ClassIdentity
)

// Message is one record for Mixpanel.
type Message struct {
	Endpoint Endpoint
	Class    Class
	// DistinctID is what order must be kept by: the distinct id, or for a group its key and id.
	DistinctID string
	// InsertID is the event's $insert_id, "" for anything else.
	InsertID string
	// Body is the record as compact JSON.
	Body []byte
	// Warnings are peculiarities worth counting; the record is sent regardless.
	Warnings Warnings
}

// Warnings is a set of peculiarities of a message.
type Warnings uint16

// The warnings.
const (
	WarnReservedName   Warnings = 1 << iota // a property named length, bucket or $bucket
	WarnIgnored                             // a property named $ignore: Mixpanel drops the event silently
	WarnTruncated                           // a text longer than 255 bytes: Mixpanel cuts it
	WarnManyProperties                      // 2,000 properties or more in one profile record
	WarnDeviceID                            // an anonymous id that Mixpanel refuses was left out of the event
	WarnFlattened                           // objects below the third level were sent as text
	WarnLargeList                           // a list of more than 8 KB in an event, over Mixpanel's documented limit
	WarnFutureTime                          // a time in the future was replaced by the time of receipt
)

// AllWarnings is the set of all of them.
const AllWarnings = WarnFutureTime<<1 - 1

// warningNames are in the order of the constants.
var warningNames = [...]string{
	"reserved_name", "ignored_by_mixpanel", "truncated_text", "many_properties",
	"device_id_refused", "flattened_object", "large_list", "future_time",
}

// Names lists the set as stable names, for counters and for people.
func (w Warnings) Names() []string {
	var names []string
	for i, name := range warningNames {
		if w&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
