package engine

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
	"muster/identity"
)

// ReasonAlias is that of calls which say that an anonymous id has become a user's.
const ReasonAlias Reason = "alias"

// Aliasing is how a destination is told that somebody anonymous has become known: that
// what it knows under an anonymous id belongs to a user id.
type Aliasing string

// The ways.
const (
	// AliasNever: it is not told, or finds out by itself.
	AliasNever Aliasing = ""
	// AliasOnce: by one alias for a user id, before anything else is told to that. Later it
	// could only hide what the destination knows under the user id already.
	AliasOnce Aliasing = "once"
	// AliasEach: by an alias for each pair of ids, at any time, which nothing waits for.
	AliasEach Aliasing = "each"
	// AliasIdentify: by an identify call without traits for each pair of ids, at any time.
	AliasIdentify Aliasing = "identify"
)

// Alias is a pair of ids of which a destination may have to be told that they are one
// person's: it has to if the connection has told both.
type Alias struct {
	Connection      *Connection
	ProfileID       int64
	Anonymous, User string
	// Fresh, of AliasOnce: to how many combinations of ids with the user's something is told
	// for the first time now. If the destination was ever told of others, it is too late.
	Fresh int
}

// aliases tells whether the connection can tell both an anonymous id and the user's, to a
// destination that has to be told that they are one.
func (c *Connection) aliases() bool {
	return c.Computation.IncludeAnonymous && c.Destination.Aliasing != AliasNever
}

// Aliases are the pairs that the messages may give rise to: those of connections that tell
// some id something for the first time, or again.
func (p *Profile) Aliases() []Alias {
	var connections []*Connection
	for i := range p.Messages {
		m := &p.Messages[i]
		if m.Undeliverable == "" && m.Reason != ReasonCleanup && m.Connection.aliases() && (m.Times == 1 || m.Reason == ReasonResync) {
			connections = appendNew(connections, m.Connection)
		}
	}
	return p.aliases(connections)
}

// aliases are the pairs of the profile's ids that connections may have told both of, the
// older ids first.
func (p *Profile) aliases(connections []*Connection) (list []Alias) {
	for _, conn := range connections {
		for _, user := range p.Links {
			if user.ID.Type != identity.UserID {
				continue
			}
			fresh := 0
			if conn.Destination.Aliasing == AliasOnce {
				if fresh = p.fresh(conn.Destination, user.ID.Value); fresh == 0 {
					continue
				}
			}
			for _, visitor := range p.Links {
				if visitor.ID.Type == identity.AnonymousID && visitor.ID.Value != user.ID.Value {
					list = append(list, Alias{Connection: conn, ProfileID: p.ID, Anonymous: visitor.ID.Value, User: user.ID.Value, Fresh: fresh})
				}
			}
		}
	}
	return list
}

// fresh is to how many combinations with the user id the destination is told something for
// the first time now.
func (p *Profile) fresh(d *Destination, user string) (n int) {
	type line struct {
		connection int64
		ids        identity.Combination
	}
	seen := make(map[line]bool)
	for i := range p.Messages {
		m := &p.Messages[i]
		l := line{m.Connection.ID, m.IDs}
		if m.Undeliverable == "" && m.Connection.Destination.ID == d.ID && m.IDs.UserID == user && m.Times == 1 && !seen[l] {
			seen[l] = true
			n++
		}
	}
	return n
}

// Heard is what the ledger says of the ids of an Alias.
type Heard struct {
	Anonymous, User bool // the connection has told it something
	Lines           int  // with the user's id, of all connections to the destination
}

// DueAliases are those that have to be told, by what the ledger says of each, that of this
// transaction included: each pair of a destination once, and of AliasOnce one for each user.
func DueAliases(list []Alias, heard []Heard) (due []Alias) {
	type pair struct {
		destination     int64
		user, anonymous string
	}
	seen := make(map[pair]bool)
	for i, a := range list {
		p := pair{a.Connection.Destination.ID, a.User, a.Anonymous}
		if a.Connection.Destination.Aliasing == AliasOnce {
			p.anonymous = ""
			if heard[i].Lines > a.Fresh {
				continue
			}
		}
		if heard[i].Anonymous && heard[i].User && !seen[p] {
			seen[p] = true
			due = append(due, a)
		}
	}
	return due
}

// Forward is the alias on its way.
func (a *Alias) Forward(now time.Time) Forward {
	call := &event.Call{
		Type: event.Alias, MessageID: callID(fmt.Sprintf("alias|%d|%q|%q", a.Connection.Destination.ID, a.Anonymous, a.User)),
		UserID: a.User, PreviousID: a.Anonymous, Timestamp: now, OriginalTimestamp: now, ReceivedAt: now,
		Integrations: jsontext.Value(integrations),
		Context:      jsontext.Value(`{"active":false,"ip":0,"integrations":{"personas":false},"library":{"name":"muster"}}`),
	}
	if a.Connection.Destination.Aliasing == AliasIdentify {
		call.Type, call.AnonymousID, call.PreviousID = event.Identify, a.Anonymous, ""
	}
	return Forward{
		Route: Route{DestinationID: a.Connection.Destination.ID, Joins: a.Connection.Destination.Aliasing != AliasEach},
		Call:  call, ProfileID: a.ProfileID, Reason: ReasonAlias,
	}
}
