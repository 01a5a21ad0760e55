package app_test

import (
	"maps"
	"slices"
	"time"

	"muster/engine"
	"muster/query"
	"muster/scheduler"
)

// leaf names a leaf: equal ones are one.
func (v *version) leaf(l *query.Leaf) string {
	return l.Text + "\n" + v.schedule + "\n" + v.since.String() + "\n" + time.Duration(v.after).String()
}

func (w *world) windowed(v *version, yield func(leaf string)) {
	for _, l := range v.query.Leaves {
		if l.Foldable && l.Window != nil {
			yield(v.leaf(l))
		}
	}
}

// dropMarks forgets leaves that no version uses any more; one that waits uses none.
func (w *world) dropMarks() {
	used := make(map[string]bool)
	for _, c := range w.computations {
		for _, v := range c.deciding() {
			w.windowed(v, func(leaf string) { used[leaf] = true })
		}
	}
	maps.DeleteFunc(w.marks, func(leaf string, _ engine.Mark) bool { return !used[leaf] })
}

func (w *world) group(schedule string) (vs []*version) {
	for _, c := range w.computations {
		if c.current != nil && !c.rests && c.current.schedule == schedule {
			vs = append(vs, c.current)
		}
	}
	return vs
}

func latest(schedule string, at time.Time) time.Time {
	s, err := scheduler.Parse(schedule)
	if err != nil {
		panic(err)
	}
	return s.Latest(at)
}

// slot runs the newest slot of a schedule, unless its group is there already.
func (w *world) slot(schedule string, now time.Time) {
	slot := latest(schedule, now)
	group := w.group(schedule)
	instants := make(map[*version]time.Time)
	for _, v := range group {
		if v.asOf.After(slot) {
			return
		}
		instants[v] = slot
		w.windowed(v, func(leaf string) { w.marks[leaf] = engine.Mark{Cut: w.arrivals, AsOf: slot} })
	}
	w.decideAll(now, instants)
	for _, v := range group {
		v.asOf = slot
	}
}

// behind tells whether a slot of the schedule is due.
func (w *world) behind(schedule string, now time.Time) bool {
	return slices.ContainsFunc(w.group(schedule), func(v *version) bool { return v.asOf.Before(latest(schedule, now)) })
}

func (w *world) schedules() []string {
	var texts []string
	for _, c := range w.computations {
		if c.current != nil && !c.rests && c.current.schedule != "" {
			texts = append(texts, c.current.schedule)
		}
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// begin starts a backfill and answers whether anything waits for one.
func (w *world) begin(youngest int64, now time.Time) bool {
	var waiting []*version
	for _, c := range w.computations {
		if c.next != nil && !c.disabled {
			waiting = append(waiting, c.next)
		}
	}
	if len(waiting) == 0 {
		return false
	}
	w.walk = &walk{youngest: youngest}
	marks := make(map[string]engine.Mark)
	for _, v := range waiting {
		v.walking = true
		if v.schedule == "" {
			continue
		}
		v.asOf = latest(v.schedule, now)
		if group := w.group(v.schedule); len(group) > 0 {
			newest := slices.MaxFunc(group, func(a, b *version) int { return a.asOf.Compare(b.asOf) })
			v.asOf = newest.asOf
		}
		w.windowed(v, func(leaf string) { marks[leaf] = engine.Mark{Cut: w.arrivals, AsOf: v.asOf} })
	}
	for leaf, m := range marks {
		if _, known := w.marks[leaf]; !known {
			w.marks[leaf] = m
		}
	}
	return true
}

// advance moves the backfill to a place.
func (w *world) advance(to engine.Place, now time.Time) {
	var walked []*person
	for _, p := range w.people {
		if !w.covers(p) {
			walked = append(walked, p)
		}
	}
	w.walk.at = to
	instants := make(map[*version]time.Time)
	for _, c := range w.computations {
		if c.next != nil && c.next.walking && c.next.schedule != "" {
			instants[c.next] = c.next.asOf
		}
	}
	for _, p := range walked {
		if w.covers(p) {
			w.decide(p, now, instants)
		}
	}
}

func (w *world) finish() {
	for _, c := range w.computations {
		if c.next != nil && c.next.walking {
			c.next.walking = false
			c.current, c.next, c.rests = c.next, nil, false
		}
	}
	w.walk = nil
	w.dropMarks()
}

// settle does all that is due.
func (w *world) settle(now time.Time) {
	const end = engine.Buckets
	if w.walk != nil {
		w.advance(engine.Place{Bucket: end}, now)
		w.finish()
	}
	if w.begin(0, now) {
		w.walk.youngest = 1<<63 - 1
		w.advance(engine.Place{Bucket: end}, now)
		w.finish()
	}
	for _, schedule := range w.schedules() {
		if w.behind(schedule, now) {
			w.slot(schedule, now)
		}
	}
	clear(w.cleaning)
}
