package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"muster/identity"
	"muster/query"
)

// DryRun says how far a dry run goes. When the deadline of its context passes, it ends
// with what it has, rather than with an error.
type DryRun struct {
	Profiles int64 // at most so many are looked at; 0: all
	Samples  int   // of each kind, at most
}

// Looked is the part of the profiles that a dry run has looked at. They are walked in an
// order that has nothing to do with what they did, so that a part stands for the whole.
type Looked struct {
	Profiles int64 // looked at
	Of       int64 // of so many
}

// Complete says that it was all of them.
func (l Looked) Complete() bool { return l.Profiles >= l.Of }

// Whole is what a count over the profiles looked at is for all of them, by the rule of three.
func (l Looked) Whole(n int64) int64 {
	if l.Complete() || l.Profiles == 0 {
		return n
	}
	return int64(math.Round(float64(n) * float64(l.Of) / float64(l.Profiles)))
}

// Effect is what a definition would make of the values of a computation.
type Effect struct {
	Before  int64 // members, or profiles with a value
	After   int64
	Entered int64 // that had none
	Exited  int64 // that have none any more
	Changed int64 // traits: that have another
	// IDTypes says of those of After how many have an external id of a type.
	IDTypes map[string]int64
	Samples []Sample
}

// Sample is a profile whose value would be another.
type Sample struct {
	ProfileID     int64
	Links         []identity.Link
	Before, After query.Value // null: none
}

// dryRun evaluates what changed definitions would say, and those that read them.
type dryRun struct {
	inspector *Inspector
	options   DryRun
	now       time.Time
	changes   []Definition
	resting   []string // keys, of those removed or disabled: these keep their last values, whatever they read
	// destinations are as in Desired
	destinations map[string]string

	keys    []string  // of the changes
	targets []*target // in the order of reading
	looked  Looked
}

// target is a computation whose values may be others.
type target struct {
	computation *Computation // as it would be
	old         *Computation // as it is; nil: there is none
	version     *Version     // the new one; nil: those that serve stay
	asOf        time.Time    // of version, if that is scheduled
	effect      Effect
	entered     int // samples of each kind
	exited      int
	changed     int
}

// do walks the profiles. Each chunk is a look of its own: a long one would keep the
// database from cleaning up.
func (d *dryRun) do(ctx context.Context) error {
	before := make(map[string]*target)
	for at, more := (Place{}), true; more; {
		chunk := d.inspector.chunk
		if left := d.options.Profiles - d.looked.Profiles; d.options.Profiles > 0 && left < int64(chunk) {
			chunk = int(left)
		}
		if chunk == 0 {
			return nil
		}
		var w *dryChunk
		last := d.targets
		err := d.inspector.kept.Look(ctx, func(r Records) (err error) {
			if w, err = d.open(ctx, r); err != nil {
				return err
			}
			return w.read(ctx, at, chunk)
		})
		if err != nil {
			if d.targets = last; last != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return nil
			}
			return err
		}
		for _, t := range d.targets { // a catalog of another look makes targets anew
			if known := before[t.computation.Key]; known != nil && known != t {
				t.effect, t.entered, t.exited, t.changed = known.effect, known.entered, known.exited, known.changed
			}
			before[t.computation.Key] = t
		}
		for _, p := range w.profiles {
			w.evaluate(p)
		}
		d.looked.Profiles += int64(len(w.profiles))
		at, more = w.at, len(w.profiles) == chunk
		d.looked.Of = max(d.looked.Of, d.looked.Profiles)
	}
	d.looked.Of = d.looked.Profiles // the walk has come to its end
	return nil
}

// dryChunk is some of the profiles.
type dryChunk struct {
	*dryRun
	records  Records
	catalog  *Catalog
	instants map[*Version]time.Time
	marks    map[int64]Mark
	at       Place
	profiles []*Profile
}

// open finds the targets.
func (d *dryRun) open(ctx context.Context, r Records) (w *dryChunk, err error) {
	w = &dryChunk{dryRun: d, records: r}
	if w.catalog, err = r.Catalog(ctx); err != nil {
		return nil, err
	}
	w.catalog.foresee(d.destinations)
	if d.looked.Of == 0 {
		if d.looked.Of, err = r.CountProfiles(ctx); err != nil {
			return nil, err
		}
	}
	d.targets, d.keys = nil, nil
	overlay := newOverlay(w.catalog)
	for _, def := range d.changes {
		p, err := overlay.propose(def, d.now)
		if err != nil {
			return nil, err
		}
		d.keys = append(d.keys, p.computation.Key)
		t := &target{computation: p.computation, old: p.old}
		if p.version != nil {
			if p.old == nil {
				p.computation.CreatedSeq = math.MaxInt64 // it would come after all there is
			}
			t.version = p.version.withLeaves()
		}
		d.targets = append(d.targets, t)
	}
	d.targets = w.ordered()
	return w, w.stand(ctx)
}

// ordered puts the changes, and all that read them, in the order of reading.
func (w *dryChunk) ordered() []*target {
	byKey := make(map[string]*target)
	for _, t := range w.targets {
		byKey[t.computation.Key] = t
	}
	reads := func(key string) []string {
		t := byKey[key]
		if t != nil && t.version != nil {
			return t.version.Definition.Traits
		}
		return w.catalog.Reads(key)
	}
	affected := make(map[string]bool)
	for key := range byKey {
		affected[key] = true
	}
	for more := true; more; {
		more = false
		for _, comp := range w.catalog.Computations {
			if affected[comp.Key] || slices.Contains(w.resting, comp.Key) {
				continue
			}
			for _, key := range reads(comp.Key) {
				if affected[key] {
					affected[comp.Key], more = true, true
					byKey[comp.Key] = &target{computation: comp, old: comp}
					break
				}
			}
		}
	}
	var sorted []*target
	done := make(map[string]bool)
	var visit func(key string)
	visit = func(key string) {
		if done[key] || !affected[key] {
			return
		}
		done[key] = true
		for _, read := range reads(key) {
			visit(read)
		}
		sorted = append(sorted, byKey[key])
	}
	for _, t := range w.targets {
		visit(t.computation.Key)
	}
	for _, comp := range w.catalog.Computations {
		visit(comp.Key)
	}
	return sorted
}

// stand finds out what the versions are as of.
func (w *dryChunk) stand(ctx context.Context) (err error) {
	var serving []*Version
	for _, t := range w.targets {
		if t.old != nil {
			serving = append(serving, w.catalog.versions(t.old)...)
		}
	}
	for _, t := range w.targets {
		if v := t.version; v != nil && v.Scheduled() {
			serving = append(serving, w.catalog.Group(v.Schedule)...)
		}
	}
	if w.instants, w.marks, err = stands(ctx, w.records, serving); err != nil {
		return err
	}
	for _, t := range w.targets {
		v := t.version
		if v == nil || !v.Scheduled() {
			continue
		}
		for _, other := range w.catalog.Group(v.Schedule) {
			if at := w.instants[other]; at.After(t.asOf) {
				t.asOf = at
			}
		}
		if t.asOf.IsZero() {
			if t.asOf, err = w.inspector.latest(v.Schedule, w.now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *dryChunk) read(ctx context.Context, after Place, n int) error {
	ids, err := w.records.ProfilesAfter(ctx, after, n)
	if err != nil || len(ids) == 0 {
		return err
	}
	last := ids[len(ids)-1]
	w.at = Place{ProfileBucket(last), last}
	known, err := w.records.Profiles(ctx, ids)
	if err != nil {
		return err
	}
	needs := &plan{}
	for _, t := range w.targets {
		if t.version != nil {
			needs.needsOf(w.catalog, t.version)
		}
		if t.old != nil {
			needs.needsOf(w.catalog, w.catalog.versions(t.old)...)
			needs.computations = appendNew(needs.computations, t.old)
		}
	}
	var wants []Want
	for _, k := range known {
		p := NewProfile(int64(k.ID), k.Links)
		p.silent = k.Suppressed
		w.profiles = append(w.profiles, p)
		wants = append(wants, Want{Profile: p, Computations: needs.computations, Traits: needs.traits})
	}
	if err := w.records.Load(ctx, wants); err != nil {
		return err
	}
	return readHistory(ctx, w.records, w.profiles, needs.names)
}

// evaluate adds what would become of a profile to the effects.
func (w *dryChunk) evaluate(p *Profile) {
	would := make(map[string]query.Value) // by key, where it is another value
	for _, t := range w.targets {
		held := t.held(p)
		before := query.Null()
		if held != nil {
			before = held.Value
		}
		after := before
		ref, ok := w.reference(t, p, would)
		if ok && !p.silent && identity.Eligible(p.Links, t.computation.IncludeAnonymous) {
			if v := ref.version.Definition.EvalWith(ref, ref.asOf); changes(ref.version, held, v) {
				after = v
			}
		}
		if ok && !after.Equal(ref.inputs.Trait(t.computation.Key)) {
			would[t.computation.Key] = after
		}
		t.count(p, before, after, w.options.Samples)
	}
}

func (t *target) held(p *Profile) *Held {
	if t.old == nil {
		return nil
	}
	return p.values[t.old.ID]
}

// reference is what a target would be evaluated from; false: it keeps its value.
func (w *dryChunk) reference(t *target, p *Profile, would map[string]query.Value) (reference, bool) {
	ref := reference{
		inputs: inputs{decision: &decision{catalog: w.catalog, running: w.catalog.Backfill}, profile: p, version: t.version},
		truth:  would, marks: w.marks, asOf: w.now,
	}
	if t.version != nil {
		ref.marks = map[int64]Mark{0: {Cut: math.MaxInt64, AsOf: t.asOf}} // its leaves have no numbers yet
		if t.version.Scheduled() {
			ref.asOf = t.asOf
		}
		return ref, true
	}
	v := w.catalog.versionFor(t.old, p, w.catalog.Backfill)
	ref.version = v
	if v == nil || !slices.ContainsFunc(v.Definition.Traits, func(key string) bool { _, moved := would[key]; return moved }) {
		return ref, false
	}
	if v.Scheduled() {
		ref.asOf = w.instants[v]
	}
	return ref, true
}

func (t *target) count(p *Profile, before, after query.Value, samples int) {
	was, is := !isOff(t.computation.Kind, before), !isOff(t.computation.Kind, after)
	e := &t.effect
	if was {
		e.Before++
	}
	if is {
		e.After++
		if e.IDTypes == nil {
			e.IDTypes = make(map[string]int64)
		}
		seen := make(map[string]bool, len(p.Links))
		for _, l := range p.Links {
			if !seen[l.ID.Type] {
				seen[l.ID.Type] = true
				e.IDTypes[l.ID.Type]++
			}
		}
	}
	var shown *int
	switch {
	case is && !was:
		e.Entered++
		shown = &t.entered
	case was && !is:
		e.Exited++
		shown = &t.exited
	case is && !after.Equal(before):
		e.Changed++
		shown = &t.changed
	default:
		return
	}
	if *shown < samples {
		*shown++
		e.Samples = append(e.Samples, Sample{ProfileID: p.ID, Links: p.Links, Before: before, After: after})
	}
}
