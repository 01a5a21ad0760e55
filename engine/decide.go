package engine

import (
	"slices"
	"time"

	"muster/identity"
	"muster/query"
)

// decision is what the evaluation of profiles in one transaction depends on.
type decision struct {
	catalog *Catalog
	running *Backfill // with its progress as of the locks that are held; nil: none
	now     time.Time // of the transaction: the time of changes and messages
	asOf    time.Time // what realtime definitions take for the present
	cause   Cause
	slot    string    // the schedule whose slot this is; empty outside of slots
	slotAt  time.Time // the instant of the slot: what its definitions take for the present

	// replayAll: the stored answers of leaves that are replayed are of another instant.
	replayAll bool
}

// settle evaluates the computations for the profile, and with each change those that
// read it, in the order of reading; then it tells the connections what is new.
// Scheduled computations are evaluated at their slot only: otherwise they are marked.
func (d *decision) settle(p *Profile, start []*Computation) {
	todo := make([]int, 0, 8)
	for _, c := range start {
		todo = insert(todo, d.catalog.order[c])
	}
	for len(todo) > 0 {
		c := d.catalog.Computations[todo[0]]
		todo = todo[1:]
		v := d.catalog.versionFor(c, p, d.running)
		if v == nil {
			continue
		}
		if v.Scheduled() && v.Schedule != d.slot && !d.fills(v) {
			p.markDue(c, d.now)
			continue
		}
		if !d.evaluate(p, v) {
			continue
		}
		if use := d.catalog.traits[c.Key]; use != nil {
			for _, leaf := range use.replay {
				p.markStale(leaf)
			}
			for _, reader := range use.readers {
				todo = insert(todo, d.catalog.order[reader])
			}
		}
	}
}

// fills tells whether the version is being computed by the backfill right now.
func (d *decision) fills(v *Version) bool {
	return (d.cause == CauseBackfill || d.cause == CauseEdit) && d.running != nil && v.BackfillID == d.running.ID
}

// evaluate decides the version's value for the profile and answers whether it changed.
func (d *decision) evaluate(p *Profile, v *Version) bool {
	c := v.Computation
	if !identity.Eligible(p.Links, c.IncludeAnonymous) {
		return false
	}
	in := inputs{catalog: d.catalog, profile: p, version: v}
	asOf := d.presentOf(v)
	d.replay(p, v, in, asOf)
	value := v.Definition.EvalWith(in, asOf)
	if v.Scheduled() {
		d.nextLook(p, v, in, asOf)
	}
	held := p.values[c.ID]
	if held == nil {
		// An audience that a profile was never in, and a trait that nothing was ever
		// counted for, leave no trace (docs/concepts.md, values).
		if c.Kind == query.Audience && !value.AsBool() || c.Kind == query.Trait && (value.IsNull() || value.Equal(v.Definition.Empty)) {
			return false
		}
	} else if held.Value.Equal(value) {
		return false
	}
	p.values[c.ID] = &Held{Value: value, Since: d.now, Cause: d.cause, Changed: true}
	p.Changes = append(p.Changes, Change{Computation: c, Value: value, At: d.now, Cause: d.cause})
	reason := d.reason(c, value)
	for _, conn := range c.Connections {
		d.tell(p, conn, reason)
	}
	return true
}

// presentOf is the instant that a version is evaluated as of.
func (d *decision) presentOf(v *Version) time.Time {
	switch {
	case !v.Scheduled():
		return d.asOf
	case v.Schedule == d.slot:
		return d.slotAt
	}
	return v.AsOf
}

// replay asks the reference evaluator for the leaves that cannot be folded, where the
// stored answer may not hold any more.
func (d *decision) replay(p *Profile, v *Version, in inputs, asOf time.Time) {
	for _, leaf := range v.Leaves {
		if leaf.Foldable || !d.replayAll && !p.stale[leaf.ID] {
			continue
		}
		history := query.Profile{Traits: make(map[string]query.Value, len(leaf.Traits))}
		for _, key := range leaf.Traits {
			history.Traits[key] = in.Trait(key)
		}
		for _, e := range p.history {
			if e.Arrival > leaf.SinceSeq && !e.Time.Before(leaf.Since) {
				history.Events = append(history.Events, e)
			}
		}
		s := p.State(leaf)
		s.Replayed = leaf.Eval(history, asOf)
		s.NextLook, _ = leaf.NextChange(history, asOf)
		s.Changed = true
		delete(p.stale, leaf.ID)
	}
}

// nextLook stores when a relative date in a trait can turn the value without an event.
func (d *decision) nextLook(p *Profile, v *Version, in inputs, asOf time.Time) {
	*p.look(v.Computation) = Look{Replace: true}
	if at, ok := v.Definition.NextTraitChange(in, asOf); ok {
		p.markDue(v.Computation, at)
	}
	for _, leaf := range v.Leaves {
		if s := p.states[leaf.ID]; s != nil && !leaf.Foldable && !s.NextLook.IsZero() {
			p.markDue(v.Computation, s.NextLook)
		}
	}
}

func (d *decision) reason(c *Computation, value query.Value) Reason {
	switch {
	case d.cause == CauseBackfill:
		return ReasonFirstSync
	case d.cause == CauseEdit:
		return ReasonEdit
	case d.cause == CauseMerge:
		return ReasonMerge
	case c.Kind != query.Audience:
		return ReasonChanged
	case value.AsBool():
		return ReasonEntered
	}
	return ReasonExited
}

// tell queues what the connection has to hear of the profile.
func (d *decision) tell(p *Profile, conn *Connection, reason Reason) {
	var value query.Value
	held := p.values[conn.Computation.ID]
	if held != nil {
		value = held.Value
	}
	targets := p.targets(conn)
	for _, say := range diff(conn.Computation.Kind, value, targets.Combinations, p.told[conn.ID]) {
		d.queue(p, conn, say, reason)
	}
	if held != nil && held.Changed && targets.Undeliverable != "" && !isOff(conn.Computation.Kind, value) {
		p.Messages = append(p.Messages, Message{
			Connection: conn, ProfileID: p.ID, Bucket: p.Bucket, Value: value, At: d.now, Reason: reason,
			Undeliverable: targets.Undeliverable,
		})
	}
}

func (d *decision) queue(p *Profile, conn *Connection, say announcement, reason Reason) {
	key := say.ids.Key()
	last := p.told[conn.ID][key]
	told := Told{Value: say.value, Times: 1, At: d.now, Changed: true}
	if last != nil {
		told.Times = last.Times + 1
		// Two messages to one id never bear the same instant (docs/mixpanel.md, times).
		if next := last.At.Add(time.Millisecond); told.At.Before(next) {
			told.At = next
		}
	}
	p.SetTold(conn.ID, key, told)
	forms := []Form{FormIdentify}
	switch conn.Emit {
	case EmitTrack:
		forms = []Form{FormTrack}
	case EmitBoth:
		forms = []Form{FormIdentify, FormTrack}
	case EmitIdentify:
	}
	for _, form := range forms {
		p.Messages = append(p.Messages, Message{
			Connection: conn, ProfileID: p.ID, Bucket: p.Bucket, Form: form, IDs: say.ids,
			Value: say.value, Times: told.Times, At: told.At, Reason: reason,
		})
	}
}

// insert puts n into the ascending list unless it is there.
func insert(list []int, n int) []int {
	i, found := slices.BinarySearch(list, n)
	if found {
		return list
	}
	return slices.Insert(list, i, n)
}
