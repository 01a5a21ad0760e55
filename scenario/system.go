package scenario

import (
	"context"
	"iter"
	"time"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// System is what a scenario is played on: the product with an empty database, a
// destination that takes everything, and a clock that stands still. One goroutine uses it.
type System interface {
	// SetNow moves the clock, never back.
	SetNow(now time.Time)
	// Define creates definitions, and edits those whose key exists. What is refused is
	// no error.
	Define(ctx context.Context, definitions []engine.Definition) (refused []*engine.DefinitionError, err error)
	// Remove deletes a definition.
	Remove(ctx context.Context, key string) error
	// DeleteProfile deletes the profile that has the id, and all that is known of it. It is
	// an error if nobody has the id: a slip of the pen shall not look like a deletion.
	DeleteProfile(ctx context.Context, id identity.ID) error
	// Ingest takes calls in, in their order and if possible at once. The calls name their
	// sources; the system finds, or makes, the SourceID.
	Ingest(ctx context.Context, calls []engine.Received) error
	// Settle does all that is due by now: every definition is computed, the newest slot
	// of every schedule has run, and everything queued is delivered.
	Settle(ctx context.Context) error
	// Values are the present values of a definition: true for each member of an audience,
	// the value for each profile that has one of a trait. A definition that is not
	// there has none.
	Values(ctx context.Context, key string) iter.Seq2[Holder, error]
	// Sent is what the destination has received since Sent was last called, in the order
	// of arrival.
	Sent(ctx context.Context) ([]Sent, error)
	// Close lets go of the database.
	Close() error
}

// Holder is a profile that has a value.
type Holder struct {
	IDs   []identity.ID // all that the profile has, oldest first
	Value query.Value
}

// Sent is a message that the destination has received: what one combination of ids was told.
type Sent struct {
	Key    string // of the definition
	IDs    identity.Combination
	Value  query.Value
	Form   engine.Form
	Reason engine.Reason
}

// To is whom a message is for: the email that it carries, else its user id, else its
// anonymous id.
func (s Sent) To() identity.ID {
	id := identity.ID{Type: identity.AnonymousID, Value: s.IDs.AnonymousID}
	if s.IDs.UserID != "" {
		id = identity.ID{Type: identity.UserID, Value: s.IDs.UserID}
	}
	if s.IDs.Email != "" {
		id = identity.ID{Type: identity.Email, Value: s.IDs.Email}
	}
	return id.Normal()
}

// Carried is every id that the message carries.
func (s Sent) Carried() []identity.ID {
	var ids []identity.ID
	for _, id := range [...]identity.ID{
		{Type: identity.UserID, Value: s.IDs.UserID},
		{Type: identity.Email, Value: s.IDs.Email},
		{Type: identity.AnonymousID, Value: s.IDs.AnonymousID},
	} {
		if id.Value != "" {
			ids = append(ids, id.Normal())
		}
	}
	return ids
}

// Setup is what a scenario asks of its system.
type Setup struct {
	Scenario string // its id, for names
	Identity identity.Settings
	Start    time.Time // what the clock shows at first
}

// Factory makes a fresh system. It is called from several goroutines. An error is one of
// the surroundings, such as a database that does not start, and ends the whole run.
type Factory func(ctx context.Context, setup Setup) (System, error)
