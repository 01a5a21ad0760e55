package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"muster/identity"
	"muster/query"
)

// RetellKind says what a retelling is for.
type RetellKind string

// The kinds.
const (
	RetellResync RetellKind = "resync" // everything is told again
	RetellExit   RetellKind = "exit"   // cleanup: whoever heard that a value was on hears that it is off
	RetellUnset  RetellKind = "unset"  // cleanup: the property is removed
)

// Retelling is a walk over what a connection was told, to tell it again, or to take it
// back after the connection has been removed. The ledger alone says to whom.
type Retelling struct {
	ID         int64
	Connection *Connection // perhaps removed; its computation perhaps deleted
	Kind       RetellKind
	Over       bool // the connection is removed, or rests: there is nothing to tell again
	StartedAt  time.Time

	// The walk goes over all profiles first, then over those into which others were merged
	// meanwhile, who may have come from before the walk to behind it.
	Merges   bool
	At       Place     // profiles up to here are done; after merges in the order of their numbers
	PassAt   time.Time // when this part of the walk began
	Profiles int64     // told
	Messages int64
}

// mergesLag is how much older a merge may be than its time says: clocks of processes
// differ, and a merge bears the time at which its transaction began.
const mergesLag = time.Minute

// Resync starts to tell everything again, from the present values, to one destination of a
// computation or, if it is empty, to all. StepRetelling does it. The answer says how many
// destinations it is. The error of an unknown key is ErrUnknownKey.
func (e *Engine) Resync(ctx context.Context, key, destination string, now time.Time) (int, error) {
	n := 0
	err := e.repo.Transact(ctx, func(tx Tx) error {
		n = 0
		if err := tx.CloseCatalog(ctx); err != nil {
			return err
		}
		c, err := tx.Catalog(ctx)
		if err != nil {
			return err
		}
		comp := c.byKey[key]
		switch {
		case comp == nil:
			return ErrUnknownKey
		case comp.Status == Disabled:
			return errors.New("it is disabled: enable it first")
		case comp.Status != Live:
			return errors.New("it waits for its backfill, which tells all that has to be told")
		}
		for _, conn := range comp.Connections {
			if destination != "" && conn.Destination.Name != destination {
				continue
			}
			for _, r := range c.Retellings {
				if r.Connection.ID == conn.ID {
					return fmt.Errorf("a resync to %s is under way already: muster run list --kind resync shows how far it is", conn.Destination.Name)
				}
			}
			if err := tx.StartRetelling(ctx, conn, RetellResync, now); err != nil {
				return err
			}
			n++
		}
		if n == 0 && destination != "" {
			return fmt.Errorf("it is not told to %q", destination)
		} else if n == 0 {
			return errors.New("it is told to nobody")
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("resync %s: %w", key, err)
	}
	return n, nil
}

// cleanUp starts to take back what a removed connection was told.
func cleanUp(ctx context.Context, tx Tx, conn *Connection, cleanup Cleanup, now time.Time) error {
	switch {
	case cleanup == CleanupExit:
		return tx.StartRetelling(ctx, conn, RetellExit, now)
	case cleanup == CleanupUnset && conn.SetsProperty:
		return tx.StartRetelling(ctx, conn, RetellUnset, now)
	}
	return nil
}

// StepRetelling takes the oldest retelling one chunk of profiles further, in one transaction
// with its progress: killed anywhere, it goes on where it was, and tells nothing twice. It
// answers nil if there is none, and one that is Over when it has come to its end.
func (e *Engine) StepRetelling(ctx context.Context, now time.Time) (*Retelling, error) {
	if err := e.repo.Prepare(ctx, nil, []time.Time{now}); err != nil {
		return nil, fmt.Errorf("tell again: %w", err)
	}
	var r *Retelling
	ended := false
	err := e.repo.Transact(ctx, func(tx Tx) (err error) {
		r, ended, err = e.retell(ctx, tx, now)
		return err
	})
	if err == nil && ended {
		id := r.ID
		err = e.repo.Transact(ctx, func(tx Tx) (err error) {
			r, err = e.endRetelling(ctx, tx, id, now)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("tell again: %w", err)
	}
	return r, nil
}

// retell takes a retelling a chunk further; ended: there is no profile left.
func (e *Engine) retell(ctx context.Context, tx Tx, now time.Time) (r *Retelling, ended bool, err error) {
	if err := tx.ShareCatalog(ctx); err != nil {
		return nil, false, err
	}
	c, err := e.current(ctx, tx)
	if err != nil {
		return nil, false, err
	}
	// Two processes on one retelling take turns: the second waits here for the first.
	if r, err = tx.LockRetelling(ctx); err != nil || r == nil || r.Over {
		return r, r != nil, err
	}
	var since time.Time
	if r.Merges {
		since = r.StartedAt.Add(-mergesLag)
	}
	ids, err := tx.NextRetold(ctx, r, since, e.chunk)
	if err != nil {
		return nil, false, err
	}
	if len(ids) == 0 && r.Merges {
		return r, true, nil
	}
	if len(ids) == 0 {
		r.Merges, r.At, r.PassAt = true, Place{}, now
		return r, false, tx.SetRetelling(ctx, r, false, now)
	}
	last := ids[len(ids)-1]
	r.At = Place{ProfileBucket(last), last}
	return r, false, e.retellTo(ctx, tx, c, r, ids, now)
}

// endRetelling tells those whom the last merges concern, while no other can be made. It does
// nothing where another process has ended the retelling already.
func (e *Engine) endRetelling(ctx context.Context, tx Tx, id int64, now time.Time) (*Retelling, error) {
	if err := tx.CloseCatalog(ctx); err != nil {
		return nil, err
	}
	c, err := tx.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	r, err := tx.LockRetelling(ctx)
	if err != nil || r == nil || r.ID != id {
		return r, err
	}
	if !r.Over {
		r.At = Place{}
		ids, err := tx.NextRetold(ctx, r, r.PassAt.Add(-mergesLag), math.MaxInt32)
		if err != nil {
			return nil, err
		}
		if err := e.retellTo(ctx, tx, c, r, ids, now); err != nil {
			return nil, err
		}
	}
	r.Over = true
	return r, tx.SetRetelling(ctx, r, true, now)
}

// retellTo tells profiles, and notes the progress. Those that are suppressed are told like all
// others: delivery withholds it, and what is withheld follows when they are taken back.
func (e *Engine) retellTo(ctx context.Context, tx Tx, c *Catalog, r *Retelling, ids []int64, now time.Time) error {
	locked, err := tx.LockProfiles(ctx, ids)
	if err != nil {
		return err
	}
	conn := r.Connection
	var profiles []*Profile
	var wants []Want
	for _, l := range locked {
		p := NewProfile(int64(l.ID), l.Links)
		profiles = append(profiles, p)
		wants = append(wants, Want{Profile: p, Computations: []*Computation{conn.Computation}, Connections: []*Connection{conn}})
	}
	if len(profiles) > 0 {
		if err := tx.Load(ctx, wants); err != nil {
			return err
		}
	}
	d := &decision{catalog: c, now: now}
	for _, p := range profiles {
		switch r.Kind {
		case RetellResync:
			d.resync(p, r)
		case RetellExit:
			d.takeBack(p, conn)
		case RetellUnset:
			d.unset(p, conn)
		}
		if len(p.Messages) > 0 {
			r.Profiles++
			r.Messages += int64(len(p.Messages))
		}
	}
	if err := tx.Save(ctx, c, profiles); err != nil {
		return err
	}
	if err := tx.SetRetelling(ctx, r, false, now); err != nil {
		return err
	}
	return tx.Enqueue(ctx, profiles, now)
}

// resync tells what the profile holds now to whom it has to be told: a value that is on to
// all combinations of ids, one that is off to those that ever heard of it. Whoever heard
// it since the resync began needs not hear it again. An event says that something has
// happened: that somebody left long ago has not.
func (d *decision) resync(p *Profile, r *Retelling) {
	conn := r.Connection
	held, told := p.values[conn.Computation.ID], p.told[conn.ID]
	if held == nil {
		return
	}
	heard := func(ids identity.Combination, v query.Value) bool {
		t := told[ids.Key()]
		return t != nil && !t.At.Before(r.StartedAt) && t.Value.Equal(v)
	}
	now := p.targets(conn).Combinations
	if !isOff(conn.Computation.Kind, held.Value) {
		for _, ids := range now {
			if !heard(ids, held.Value) {
				d.queue(p, conn, announcement{ids, held.Value}, ReasonResync)
			}
		}
		return
	}
	if conn.Emit == EmitTrack {
		return
	}
	property := *conn
	property.Emit = EmitIdentify
	value := offValue(conn.Computation.Kind)
	for _, ids := range inOrder(now, told) {
		if told[ids.Key()] != nil && !heard(ids, value) {
			d.queue(p, &property, announcement{ids, value}, ReasonResync)
		}
	}
}

// takeBack tells those who heard that the value was on that it is off.
func (d *decision) takeBack(p *Profile, conn *Connection) {
	for _, say := range diff(conn.Computation.Kind, query.Null(), p.targets(conn).Combinations, p.told[conn.ID]) {
		d.queue(p, conn, say, ReasonCleanup)
	}
}

// unset removes the property, once for each id under which the destination files it.
func (d *decision) unset(p *Profile, conn *Connection) {
	told := p.told[conn.ID]
	property := *conn
	property.Emit = EmitIdentify
	var carriers []identity.Combination
	at := make(map[identity.Combination]time.Time)
	for _, ids := range inOrder(p.targets(conn).Combinations, told) {
		t := told[ids.Key()]
		if t == nil {
			continue
		}
		carrier := ids
		carrier.Email = ""
		if next := t.At.Add(time.Millisecond); next.After(at[carrier]) {
			at[carrier] = next
		}
		if !t.Value.IsNull() {
			carriers = appendNew(carriers, carrier)
			t.Value, t.Changed = query.Null(), true
		}
	}
	for _, carrier := range carriers {
		later := *d
		if at[carrier].After(d.now) { // later than all that it was told
			later.now = at[carrier]
		}
		later.queue(p, &property, announcement{carrier, query.Null()}, ReasonCleanup)
	}
}
