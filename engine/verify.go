package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"muster/query"
)

// VerifyOptions say what is verified.
type VerifyOptions struct {
	Keys   []string // of computations; empty: all
	Share  float64  // of all profiles, above 0 to 1, chosen by their numbers; 0: all
	Repair bool     // mend what differs, and queue what has to be told

	Profiles []int64 // only these; nil: all
}

// Part is a part of what is stored.
type Part string

// The parts that are verified.
const (
	PartState  Part = "state"  // what a profile's events amount to for a leaf
	PartValue  Part = "value"  // of a computation
	PartLedger Part = "ledger" // what was told, or is queued
)

// Difference is something stored that is not what the reference evaluator makes of the
// profile's history.
type Difference struct {
	ProfileID int64
	Key       string // of the computation
	Part      Part
	Of        string // the leaf's text, or destination and id combination; empty for a value
	Stored    query.Value
	Reference query.Value
}

// String is the difference in a line.
func (d Difference) String() string {
	of := ""
	if d.Of != "" {
		of = " of " + d.Of
	}
	return fmt.Sprintf("profile %d, %s: %s%s is %s and should be %s", d.ProfileID, d.Key, d.Part, of, d.Stored, d.Reference)
}

// VerifyReport sums a verification up.
type VerifyReport struct {
	Computations int
	Profiles     int64
	Values       int64 // compared
	// Waiting values were not compared: something that a scheduled computation reads has
	// changed, and its next slot is to look at the profile.
	Waiting int64
	// Remembered states were not compared: events that count in them have been dropped from
	// the log, or may have been. Values and what was told were compared on top of them.
	Remembered  int64
	KeptSince   time.Time // the log goes back to here; zero: nothing was dropped from it
	Differences int64
}

// Verify recomputes computations with the reference evaluator from the stored history, and
// yields what is stored otherwise: states, values, and what was told. It works while all
// else goes on, one chunk of profiles (see SetChunk) with their history at a time. A
// profile's history is read in full, so that it costs what is stored. Where old events have
// been dropped, states that count them cannot be compared with anything; they are counted as
// remembered, and what follows from them is compared.
func (e *Engine) Verify(ctx context.Context, o VerifyOptions, now time.Time, yield func(Difference)) (VerifyReport, error) {
	var report VerifyReport
	if o.Share < 0 || o.Share > 1 {
		return report, fmt.Errorf("verify: the share of profiles must be above 0 and at most 1, not %v", o.Share)
	}
	if err := e.repo.Prepare(ctx, nil, []time.Time{now}); err != nil {
		return report, fmt.Errorf("verify: %w", err)
	}
	var at Place
	for more := true; more; {
		var v *verification
		err := e.repo.Transact(ctx, func(tx Tx) error {
			v = &verification{tx: tx, options: o, now: now, at: at}
			return v.chunk(ctx, e)
		})
		if err != nil {
			return report, fmt.Errorf("verify: %w", err)
		}
		at, more = v.at, v.more
		report.Computations = len(v.targets)
		report.Profiles += int64(len(v.profiles))
		report.Values += v.values
		report.Waiting += v.waiting
		report.Remembered += v.remembered
		report.KeptSince = v.catalog.Kept.Since
		report.Differences += int64(len(v.found))
		for _, d := range v.found {
			yield(d)
		}
	}
	return report, nil
}

// verification is the transaction of one chunk.
type verification struct {
	tx      Tx
	options VerifyOptions
	now     time.Time
	at      Place // profiles up to here are done
	more    bool

	catalog  *Catalog
	running  *Backfill
	targets  []*Computation
	instants map[*Version]time.Time
	marks    map[int64]Mark
	due      map[int64]map[int64]time.Time // by profile and computation
	profiles []*Profile

	values, waiting, remembered int64

	found []Difference
}

func (v *verification) chunk(ctx context.Context, e *Engine) (err error) {
	if err := v.tx.ShareCatalog(ctx); err != nil {
		return err
	}
	if v.catalog, err = e.current(ctx, v.tx); err != nil {
		return err
	}
	if err := v.choose(); err != nil {
		return err
	}
	if err := v.lock(ctx, e.chunk); err != nil || len(v.profiles) == 0 {
		return err
	}
	if err := v.load(ctx); err != nil {
		return err
	}
	for _, p := range v.profiles {
		v.verify(p)
	}
	if !v.options.Repair || len(v.found) == 0 {
		return nil
	}
	if err := v.tx.Save(ctx, v.catalog, v.profiles); err != nil {
		return err
	}
	return v.tx.Enqueue(ctx, v.profiles, v.now)
}

// choose finds the computations that are verified, in the order of reading.
func (v *verification) choose() error {
	for _, key := range v.options.Keys {
		if v.catalog.byKey[key] == nil {
			return fmt.Errorf("there is no audience or computed trait %q", key)
		}
	}
	for _, c := range v.catalog.Computations {
		if len(v.options.Keys) == 0 || slices.Contains(v.options.Keys, c.Key) {
			v.targets = append(v.targets, c)
		}
	}
	return nil
}

// lock locks the next profiles, and keeps slots from moving windows meanwhile.
func (v *verification) lock(ctx context.Context, chunk int) (err error) {
	var versions []*Version
	for _, c := range v.targets {
		versions = append(versions, v.catalog.versions(c)...)
	}
	scheduled, windowed := clocked(versions)
	if v.instants, err = v.tx.LockVersions(ctx, scheduled); err != nil {
		return err
	}
	if v.marks, err = v.tx.LockMarks(ctx, windowed); err != nil {
		return err
	}
	listed := v.after(chunk)
	if v.options.Profiles == nil {
		if listed, err = v.tx.ProfilesAfter(ctx, v.at, chunk); err != nil {
			return err
		}
	}
	if len(listed) == 0 {
		return nil
	}
	last := listed[len(listed)-1]
	v.at, v.more = Place{ProfileBucket(last), last}, true
	if share := v.options.Share; share > 0 && share < 1 {
		listed = slices.DeleteFunc(listed, func(id int64) bool { return float64(scatter(id)>>11)/(1<<53) >= share })
	}
	locked, err := v.tx.LockProfiles(ctx, listed)
	if err != nil {
		return err
	}
	ids := make([]int64, 0, len(locked))
	for _, p := range locked {
		ids = append(ids, int64(p.ID))
		profile := NewProfile(int64(p.ID), p.Links)
		profile.silent = p.Suppressed
		v.profiles = append(v.profiles, profile)
	}
	if v.running, err = v.tx.Running(ctx); err != nil { // its progress counts as of the locks
		return err
	}
	v.due = make(map[int64]map[int64]time.Time)
	return v.tx.DueFor(ctx, scheduled, ids, func(profile, computation int64, at time.Time) {
		if v.due[profile] == nil {
			v.due[profile] = make(map[int64]time.Time)
		}
		v.due[profile][computation] = at
	})
}

// after is the next of the profiles that were asked for by number.
func (v *verification) after(n int) []int64 {
	ids := slices.Clone(v.options.Profiles)
	slices.SortFunc(ids, CompareProfiles)
	ids = slices.DeleteFunc(ids, func(id int64) bool {
		return cmp.Or(cmp.Compare(ProfileBucket(id), v.at.Bucket), cmp.Compare(id, v.at.ProfileID)) <= 0
	})
	return ids[:min(n, len(ids))]
}

func (v *verification) load(ctx context.Context) error {
	needs := &plan{}
	for _, c := range v.targets {
		needs.include(v.catalog.plans[c])
		for _, version := range v.catalog.versions(c) {
			for _, l := range version.Leaves {
				for _, name := range l.Events {
					needs.names = appendNew(needs.names, name)
				}
			}
		}
	}
	wants := make([]Want, 0, len(v.profiles))
	for _, p := range v.profiles {
		wants = append(wants, Want{
			Profile: p, Events: needs.events, Computations: needs.computations, Connections: needs.connections, Traits: needs.traits,
		})
	}
	if err := v.tx.Load(ctx, wants); err != nil {
		return err
	}
	return readHistory(ctx, v.tx, v.profiles, needs.names)
}
