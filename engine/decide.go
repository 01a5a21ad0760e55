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
	now     time.Time // of the transaction: what realtime definitions take for the present, and the time of messages
	cause   Cause     // of changes, but for those of a version that the backfill brings in

	// instants are what the scheduled versions that are evaluated now take for the
	// present. The others only note that they must look at the profile at their next slot.
	instants map[*Version]time.Time
	// prompts says that calls have come: versions that do not wait for slots are evaluated
	// as of now, from the history and not from the states, which show the last slot.
	prompts bool
	// walks says that this is the backfill, which brings in the versions that belong to it.
	walks bool
	// replayAll: the stored answers of leaves that are replayed may be of another instant.
	replayAll bool
}

// settle evaluates the computations for the profile, and with each change those that
// read it, in the order of reading; then it tells the connections what is new.
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
		if p.silent {
			if v.Scheduled() {
				p.markDue(c, atOnce) // for the first slot after it is silent no more
			}
			continue
		}
		asOf, evaluated := d.now, true
		if v.Scheduled() {
			asOf, evaluated = d.instants[v]
		}
		changed := false
		switch {
		case evaluated:
			changed = d.evaluate(p, v, asOf)
		case d.prompts && v.Prompt():
			changed = d.evaluatePromptly(p, v)
		default:
			p.markDue(c, atOnce)
		}
		if !changed {
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

// evaluate decides the version's value for the profile and answers whether it changed.
func (d *decision) evaluate(p *Profile, v *Version, asOf time.Time) bool {
	c := v.Computation
	if !identity.Eligible(p.Links, c.IncludeAnonymous) {
		return false
	}
	held := p.values[c.ID]
	if v.Refresh == RefreshRealtime && !d.walks && held != nil && held.Since.After(asOf) {
		p.markDue(c, atOnce) // it was decided as of a later moment; a late slot does not undo that
		return false
	}
	in := inputs{decision: d, profile: p, version: v}
	d.replay(p, v, in, asOf)
	value := v.Definition.EvalWith(in, asOf)
	if v.Scheduled() {
		d.nextLook(p, v, in, asOf)
	}
	return d.change(p, v, value)
}

// evaluatePromptly decides a scheduled version's value as of now; the slots' states and
// marks stay as they are. The next slot looks at a value that changed, because what
// changed it may have come and gone between two slots, and at versions that more than the
// move of windows can change: it does not see by itself what calls did to the rest.
func (d *decision) evaluatePromptly(p *Profile, v *Version) bool {
	if !identity.Eligible(p.Links, v.Computation.IncludeAnonymous) {
		return false
	}
	in := inputs{decision: d, profile: p, version: v, fromHistory: true}
	changed := d.change(p, v, v.Definition.EvalWith(in, d.now))
	if changed || !v.movedBySlots() {
		p.markDue(v.Computation, atOnce)
	}
	return changed
}

// change notes the value if it differs from what is held, tells it, and answers whether
// it does.
func (d *decision) change(p *Profile, v *Version, value query.Value) bool {
	c := v.Computation
	held := p.values[c.ID]
	if !changes(v, held, value) {
		return false
	}
	cause := d.causeOf(v)
	p.SetHeld(c.ID, Held{Value: value, Since: d.now, Cause: cause, Changed: true, New: held == nil || held.New})
	p.Changes = append(p.Changes, Change{Computation: c, Value: value, At: d.now, Cause: cause})
	reason := d.reason(v, value)
	for _, conn := range c.Connections {
		d.tell(p, conn, reason)
		if why := p.targets(conn).Undeliverable; why != "" && !isOff(c.Kind, value) {
			p.Messages = append(p.Messages, Message{
				Connection: conn, ProfileID: p.ID, Bucket: p.Bucket, Value: value, At: d.now, Reason: reason, Undeliverable: why,
			})
		}
	}
	return true
}

// changes tells whether a value differs from what is held. An audience that a profile
// was never in, and a trait that nothing was ever counted for, leave no trace
// (docs/concepts.md, values).
func changes(v *Version, held *Held, value query.Value) bool {
	switch {
	case held != nil:
		return !held.Value.Equal(value)
	case v.Computation.Kind == query.Audience:
		return value.AsBool()
	}
	return !value.IsNull() && !value.Equal(v.Definition.Empty)
}

// replay asks the reference evaluator for the leaves that cannot be folded, where the
// stored answer may not hold any more.
func (d *decision) replay(p *Profile, v *Version, in inputs, asOf time.Time) {
	for _, leaf := range v.Leaves {
		if leaf.Foldable || !d.replayAll && !p.stale[leaf.ID] {
			continue
		}
		history := leaf.past(p.history, in)
		s := p.State(leaf)
		answer := leaf.Eval(history, asOf)
		next, _ := leaf.NextChange(history, asOf)
		if !answer.Equal(s.Result(leaf.Leaf)) || !next.Equal(s.NextLook) {
			s.Replayed, s.NextLook, s.Changed = answer, next, true
		}
		delete(p.stale, leaf.ID)
	}
}

// past is what the reference evaluator is given of a profile for the leaf.
func (l *Leaf) past(history []*query.Event, in query.Inputs) query.Profile {
	past := query.Profile{Traits: make(map[string]query.Value, len(l.Traits))}
	for _, key := range l.Traits {
		past.Traits[key] = in.Trait(key)
	}
	for _, e := range history {
		if l.reaches(e) {
			past.Events = append(past.Events, e)
		}
	}
	return past
}

// nextLook stores when the clock alone can turn the value of a scheduled version.
func (d *decision) nextLook(p *Profile, v *Version, in inputs, asOf time.Time) {
	if v.Pure() {
		// It has marks only from a call that asked for a look (a merge, a new id) or from
		// its version before. Where only its states have moved, there is nothing to settle.
		if d.marked(p, v) {
			*p.look(v.Computation) = Look{Replace: true}
		}
		return
	}
	*p.look(v.Computation) = Look{Replace: true}
	if at, ok := v.Definition.NextTraitChange(in, asOf); ok {
		p.markDue(v.Computation, at)
	}
	for _, leaf := range v.Leaves {
		if s := p.State(leaf); !leaf.Foldable && !s.NextLook.IsZero() {
			p.markDue(v.Computation, s.NextLook)
		}
	}
}

// marked tells whether a pure version may have a mark on the profile.
func (d *decision) marked(p *Profile, v *Version) bool {
	if d.walks {
		return v.Computation.Current != nil
	}
	return !p.unmarked[v.Computation.ID]
}

// brings tells whether this is the backfill that brings the version in.
func (d *decision) brings(v *Version) bool {
	return d.walks && d.running != nil && v.BackfillID == d.running.ID && v == v.Computation.Next
}

func (d *decision) causeOf(v *Version) Cause {
	if d.brings(v) && v.Computation.Current != nil && !v.Computation.Current.Rests() {
		return CauseEdit
	}
	return d.cause
}

func (d *decision) reason(v *Version, value query.Value) Reason {
	c := v.Computation
	switch {
	case d.brings(v) && c.Current == nil:
		return ReasonFirstSync
	case d.brings(v) && !c.Current.Rests():
		return ReasonEdit
	case d.cause == CauseMerge:
		return ReasonMerge
	case d.cause == CauseRepair:
		return ReasonRepair
	case c.Kind != query.Audience:
		return ReasonChanged
	case value.AsBool():
		return ReasonEntered
	}
	return ReasonExited
}

// tell queues what the connection has to hear of the profile.
func (d *decision) tell(p *Profile, conn *Connection, reason Reason) {
	if p.silent {
		return
	}
	for _, say := range p.unsaid(conn) {
		d.queue(p, conn, say, reason)
	}
}

// unsaid is what the connection has to hear of the profile: the difference between the
// ledger and the value.
func (p *Profile) unsaid(conn *Connection) []announcement {
	var value query.Value
	if held := p.values[conn.Computation.ID]; held != nil {
		value = held.Value
	}
	return diff(conn.Computation.Kind, value, p.targets(conn).Combinations, p.told[conn.ID])
}

func (d *decision) queue(p *Profile, conn *Connection, say announcement, reason Reason) {
	key := say.ids.Key()
	last := p.told[conn.ID][key]
	told := Told{Value: say.value, Times: 1, At: d.now, Changed: true, New: last == nil || last.New}
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
