package mixpaneltest

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Rule names one thing that a client of Mixpanel must never do.
type Rule string

// The rules. Mixpanel itself answers most of these breaches with success.
const (
	RuleGzip            Rule = "gzip"               // gzip on /engage or /groups, which do not support it
	RuleTooManyRecords  Rule = "too_many_records"   // more than 2000 records in a request
	RuleOversize        Rule = "oversize"           // a body or a record over its limit
	RuleMalformed       Rule = "malformed"          // a body that cannot be read as records
	RuleInvalid         Rule = "invalid_record"     // a record that Mixpanel refuses; validate before sending
	RuleTooOld          Rule = "too_old"            // an event for /track older than it takes; it is lost
	RuleTwoOperations   Rule = "two_operations"     // more than one operation in a profile record
	RuleNoOperation     Rule = "no_operation"       // none
	RuleUnknownKey      Rule = "unknown_key"        // a top-level key that no document knows
	RuleDuplicateName   Rule = "duplicate_name"     // one name twice in an object
	RuleNull            Rule = "null_value"         // null inside $set or $set_once
	RuleMissingIP       Rule = "missing_ip_0"       // /engage or /groups without ip=0: users move to the sender's city
	RuleGeoByRequest    Rule = "geo_by_request"     // an event geolocated by the sender's address
	RuleIdentityBatched Rule = "identity_batched"   // an identity event in one request with other records
	RuleTimeNotInteger  Rule = "time_not_integer"   // a time that is not written as an integer
	RuleForbidden       Rule = "forbidden_property" // $lib_version, $library_version or $brand
	RuleTokenMismatch   Rule = "token_mismatch"     // an event's token is not that of the credentials
	RuleOverlap         Rule = "overlap"            // two requests in flight for one id
	RuleUnsettled       Rule = "unsettled_alias"    // a record for an id within the settle time of its alias
	RuleOrphan          Rule = "orphan"             // a record that Mixpanel accepts and loses
)

// Violation is one breach of a rule.
type Violation struct {
	Time     time.Time `json:"time"`    // by the server's clock
	Request  int       `json:"request"` // its number, from 1
	Endpoint Endpoint  `json:"endpoint"`
	Index    int       `json:"index"` // the record's place in its request, or -1
	Rule     Rule      `json:"rule"`
	Detail   string    `json:"detail"`
}

// String is the violation in one line.
func (v Violation) String() string {
	at := fmt.Sprintf("request %d to /%s", v.Request, v.Endpoint)
	if v.Index >= 0 {
		at += fmt.Sprintf(", record %d", v.Index)
	}
	return fmt.Sprintf("%s: %s: %s", at, v.Rule, v.Detail)
}

// Orphan is a record that was answered with success and that no project will ever show.
type Orphan struct {
	Time     time.Time `json:"time"`
	Request  int       `json:"request"`
	Endpoint Endpoint  `json:"endpoint"`
	Index    int       `json:"index"`
	Token    string    `json:"token"`
	Reason   string    `json:"reason"` // OrphanUnknownToken, OrphanForeignRegion or OrphanUnknownGroupKey
	Record   string    `json:"record"` // as it was sent
}

// The reasons of orphans.
const (
	OrphanUnknownToken    = "unknown_token"
	OrphanForeignRegion   = "foreign_token"
	OrphanUnknownGroupKey = "unknown_group_key"
)

// Dropped is an event that was answered with success and not kept.
type Dropped struct {
	Time    time.Time `json:"time"`
	Request int       `json:"request"`
	Index   int       `json:"index"`
	Token   string    `json:"token"`
	Reason  string    `json:"reason"` // DroppedOld, DroppedIgnore, or why the event is invalid (strict=0)
	Record  string    `json:"record"`
}

// The reasons of dropped events that are not faults of the event.
const (
	DroppedOld    = "dropped_old" // older than /track takes
	DroppedIgnore = "$ignore"     // the event asked for it
)

// findings is a bounded list that goes on counting.
type findings[T any] struct {
	mu    sync.Mutex
	kept  []T
	total int
}

func (f *findings[T]) add(limit int, found ...T) {
	if len(found) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total += len(found)
	room := max(0, limit-len(f.kept))
	f.kept = append(f.kept, found[:min(room, len(found))]...)
}

func (f *findings[T]) list() []T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.kept)
}

func (f *findings[T]) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

func (f *findings[T]) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept, f.total = nil, 0
}
