package engine

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/identity"
	"muster/query"
)

// ErrAgain is returned by a Tx when the transaction has lost a race that it wins
// when it is begun anew. Repository.Transact does so by itself.
var ErrAgain = errors.New("the transaction must be begun again")

// Repository is the storage that the engine works on.
type Repository interface {
	// Transact runs f in one transaction. It begins anew, with a new Tx, when the
	// database or f asks for it: deadlock, serialisation failure, ErrAgain.
	Transact(ctx context.Context, f func(Tx) error) error
	// Prepare makes room outside of any transaction: partitions for the instants, numbers for the names.
	Prepare(ctx context.Context, names []string, instants []time.Time) error
	// CleanCut is a place in the order of arrival up to which everything is stored: no event
	// with a smaller one can turn up later. It waits for those who are ingesting, and
	// keeps nobody from it.
	CleanCut(ctx context.Context) (int64, error)
}

// Tx is one transaction. Whatever is read of a profile is read after it was locked.
type Tx interface {
	Reader
	// Beside opens another connection, with which to read what this transaction has locked
	// while it is busy; nil: none is free. release ends it.
	Beside(ctx context.Context) (r Reader, release func(), err error)

	// ShareGate lets this transaction in together with other ingesting ones. Until its end
	// the definitions stay as they are.
	ShareGate(ctx context.Context) error
	// ShareCatalog keeps the definitions as they are too. It is for transactions that take
	// long, because those who change definitions wait for them before they close the gate.
	ShareCatalog(ctx context.Context) error
	// CloseCatalog waits until all those are over and keeps new ones out until the end of
	// this transaction, which may change the definitions.
	CloseCatalog(ctx context.Context) error

	// CatalogVersion is the number that every change of the definitions raises.
	CatalogVersion(ctx context.Context) (int64, error)
	// Catalog reads the definitions.
	Catalog(ctx context.Context) (*Catalog, error)
	// Running reads the progress of the running backfill; nil: none runs.
	Running(ctx context.Context) (*Backfill, error)

	// ClaimMessages notes message ids and answers which of them are new.
	ClaimMessages(ctx context.Context, ids []string, now time.Time) ([]bool, error)

	// LockOwners locks the profiles that own any of the ids, in ascending order of (bucket,
	// number), and reads all their ids. ErrAgain: an id came to another profile meanwhile.
	LockOwners(ctx context.Context, ids []identity.ID) ([]identity.Profile, error)
	// LockProfiles locks profiles, in ascending order of (bucket, number), and reads
	// their ids. Those that are gone (merged or deleted meanwhile) are left out.
	LockProfiles(ctx context.Context, ids []int64) ([]identity.Profile, error)
	// ProfilesAfter lists the next n profiles after a place, without locking them.
	ProfilesAfter(ctx context.Context, after Place, n int) ([]int64, error)
	// Heirs says into which profiles those that are gone were merged; deleted ones are left out.
	Heirs(ctx context.Context, gone []int64) (map[int64]int64, error)
	// NewProfileIDs draws numbers for new profiles, higher than all before.
	NewProfileIDs(ctx context.Context, n int) ([]int64, error)
	// SaveIdentity writes new profiles, ids and merges. ErrAgain: another transaction
	// has taken one of the ids.
	SaveIdentity(ctx context.Context, d identity.Diff, violations []Violation, origin map[identity.ID]string, now time.Time) error
	// MoveProfiles gives everything of merged profiles to their survivors, but their states.
	MoveProfiles(ctx context.Context, merges []MergedBy, now time.Time) error

	// DeleteProfiles removes everything of the report's profiles, of those that were merged
	// into them too, and counts it.
	DeleteProfiles(ctx context.Context, r *DeletionReport, now time.Time) error

	// SetTraits writes traits where they are newer than what is stored.
	SetTraits(ctx context.Context, traits []TraitWrite) error
	// SaveAccounts writes accounts, their traits where they are newer than what is stored,
	// and which profiles belong to them.
	SaveAccounts(ctx context.Context, accounts []AccountWrite) error
	// DropStates removes all states of profiles that are no more.
	DropStates(ctx context.Context, ids []int64) error
	// Save writes what has changed of the profiles: states, values, ledger, history, due looks.
	Save(ctx context.Context, c *Catalog, profiles []*Profile) error

	// NewSeqs draws n places in the order of arrival, ascending and higher than all before
	// for every profile that is locked.
	NewSeqs(ctx context.Context, n int) ([]int64, error)
	// AppendEvents stores events.
	AppendEvents(ctx context.Context, events []StoredEvent) error
	// Forward appends calls to the queue, in their order. It takes the lock that Enqueue
	// takes, and comes before it.
	Forward(ctx context.Context, calls []Forward, now time.Time) error
	// Alias appends those aliases to the queue that their destinations were not told yet and
	// that are not too late. It takes the lock that Enqueue takes, and comes before it.
	Alias(ctx context.Context, aliases []Alias, now time.Time) error
	// Enqueue appends the profiles' messages to the queue, and before them the aliases that go
	// with them. It takes a lock that is held to the end of the transaction, so it comes last.
	Enqueue(ctx context.Context, profiles []*Profile, now time.Time) error

	// LastSeq is the last place in the order of arrival. With the catalog closed it is a
	// clean cut.
	LastSeq(ctx context.Context) (int64, error)
	// ScanArrivals reads the events of the names that arrived after one place and up to
	// another, in any order.
	ScanArrivals(ctx context.Context, names []string, after, upTo int64, yield func(profileID int64, e *query.Event) error) error
	// ScanSpans reads the events that are stamped within the spans, which do not overlap,
	// and arrived up to a place, in any order.
	ScanSpans(ctx context.Context, spans []Span, upTo int64, yield func(profileID int64, e *query.Event) error) error
	// LockMarks reads how far the states of leaves have come, and keeps other slots off them.
	LockMarks(ctx context.Context, leaves []int64) (map[int64]Mark, error)
	// LockVersions reads the instants that the values of scheduled versions are as of, and
	// keeps other slots of them waiting.
	LockVersions(ctx context.Context, versions []*Version) (map[*Version]time.Time, error)
	// SetMarks stores how far they are now, and the instant that the versions' values are as of.
	SetMarks(ctx context.Context, marks map[int64]Mark, versions []*Version, asOf time.Time) error
	// Due finds the profiles that versions must look at by the instant, that included.
	Due(ctx context.Context, versions []*Version, by time.Time, yield func(profileID, computationID int64)) error
	// DueFor reads when versions must look at the profiles.
	DueFor(ctx context.Context, versions []*Version, profiles []int64, yield func(profileID, computationID int64, at time.Time)) error
	// RecordSlot notes what a slot did for each computation.
	RecordSlot(ctx context.Context, slot, now time.Time, result SlotResult) error

	// StartBackfill notes a backfill for the versions, finds or makes their leaves, and marks new ones with the
	// cut and, where they have windows, with the instant of their schedule's other leaves,
	// else with asOf of the schedule.
	StartBackfill(ctx context.Context, versions []*Version, cut int64, asOf map[string]time.Time, now time.Time) error
	// LockBackfill locks and reads the running backfill; nil: none runs.
	LockBackfill(ctx context.Context) (*Backfill, error)
	// NextProfiles locks the next profiles of the walk, at most n.
	NextProfiles(ctx context.Context, b *Backfill, n int) ([]Locked, error)
	// SetBackfill stores the progress and adds to what the runs did.
	SetBackfill(ctx context.Context, b *Backfill, tallies []*Tally, now time.Time) error
	// FinishBackfill lets the versions of the running backfill serve, if there is one.
	FinishBackfill(ctx context.Context, now time.Time) error

	// SaveComputation creates or edits a computation; version nil: its definition stays.
	SaveComputation(ctx context.Context, c *Computation, version *Version, connections []*Connection, now time.Time) error
	// DeleteComputation retires a computation and makes its values plain traits, also where
	// it has none: what such a trait was before is gone. first, if not nil, is the backfill
	// that is bringing the computation in; profiles that it has not done keep their trait.
	DeleteComputation(ctx context.Context, c *Computation, first *Backfill, now time.Time) error

	// PlainTraits says which of the keys some profile has a trait under.
	PlainTraits(ctx context.Context, keys []string) (map[string]bool, error)

	// StartRetelling notes a retelling of a connection, instead of one that is under way.
	StartRetelling(ctx context.Context, conn *Connection, kind RetellKind, now time.Time) error
	// LockRetelling locks and reads the oldest retelling that is under way; nil: there is none.
	LockRetelling(ctx context.Context) (*Retelling, error)
	// NextRetold lists the next profiles of the walk, at most n: of all profiles, or of
	// those into which others were merged since an instant that is not zero.
	NextRetold(ctx context.Context, r *Retelling, mergedSince time.Time, n int) ([]int64, error)
	// SetRetelling stores the progress, and the end.
	SetRetelling(ctx context.Context, r *Retelling, over bool, now time.Time) error
}

// Reader reads what is stored of profiles that a transaction has locked.
type Reader interface {
	// Load reads into the profiles what is wanted of each.
	Load(ctx context.Context, wants []Want) error
	// History reads events of profiles, in any order.
	History(ctx context.Context, h HistoryQuery, yield func(profileID int64, e *query.Event) error) error

	// LoadStretch reads into the profiles of a stretch what is wanted of each of them.
	LoadStretch(ctx context.Context, s Stretch, profiles map[int64]*Profile, want Want) error
	// HistoryOf reads events of the profiles of a stretch, in any order. The event is the
	// same one at each call.
	HistoryOf(ctx context.Context, s Stretch, r Reading, yield func(profileID int64, e *query.Event) error) error
	// Count counts events of the profiles of a stretch, for each counting; all is how many any of
	// them may have counted. Profiles without such events are left out.
	Count(ctx context.Context, s Stretch, countings []Counting, yield func(profileID, all int64, n []int64)) error
	// Links reads the external ids of some of all the profiles of a stretch.
	Links(ctx context.Context, s Stretch, all int, some []*Profile) error
}

// Locked is a profile of a walk.
type Locked struct {
	ID         int64
	Suppressed bool // see identity.Profile
}

// Want is what has to be known of a profile.
type Want struct {
	Profile      *Profile
	All          bool           // the values and ledgers of all computations, whatever is listed below
	Events       []string       // the states of the leaves over these
	Computations []*Computation // their values
	Connections  []*Connection  // their ledgers
	Traits       []string       // trait keys
}

// TraitWrite is a trait that a call sets, or removes if Value is nil.
type TraitWrite struct {
	ProfileID int64
	Key       string
	Value     jsontext.Value
	At        time.Time // the call's timestamp
	Arrival   int64
}

// AccountWrite is what a group call says.
type AccountWrite struct {
	GroupID        string
	ProfileID      int64                     // belongs to the account
	Traits         map[string]jsontext.Value // nil removes
	At, ReceivedAt time.Time
	Arrival        int64
}

// StoredEvent is an event as the log keeps it.
type StoredEvent struct {
	ProfileID int64
	MessageID string
	SourceID  int64
	*query.Event
}

// Violation is an id that an identity rule kept from a profile.
type Violation struct {
	identity.Violation
	ProfileID int64
	MessageID string
}

// MergedBy is a merge with the call that caused it.
type MergedBy struct {
	identity.Merge
	MessageID string
}

// HistoryQuery selects events of profiles.
type HistoryQuery struct {
	Profiles []int64 // these; must be locked
	Names    []string
	UpTo     int64     // events that arrived up to this one; 0: all
	Since    time.Time // stamped at or after; zero: all
}

// Stretch is the profiles after one place and up to another.
type Stretch struct{ After, Through Place }

// Reading selects events of a stretch, and what of them is read: what is not asked for
// is left empty.
type Reading struct {
	Names                       []string
	Since                       time.Time // stamped at or after; zero: all
	UpTo                        int64     // arrived up to this one
	Properties, Context, Source bool
}

// Counting selects events of one name that are merely counted.
type Counting struct {
	Name        string
	From, To    time.Time // stamped between these, both included; zero: open
	After, UpTo int64     // arrived after one place and up to another
}

// Span is a stretch of the event log: the events of some names that are stamped between
// two instants, both included.
type Span struct {
	From, To time.Time
	Names    []string
}
