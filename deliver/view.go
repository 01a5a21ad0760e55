package deliver

import (
	"slices"
	"time"
)

// view is what can be done with the open entries of a lane at one moment.
type view struct {
	ready []Entry // to be sent now, in order
	over  []Entry // barrier rows that nothing waits for any more

	reached []string // barriers whose waiting row is reached for the first time
	ask     []string // barriers whose progress depends on what other lanes record

	opens time.Time // when the first settling barrier opens; zero if none settles
}

// look decides what is to be done with the open entries, given in order, of which
// at most limit are sent. Entries of a carrier are held behind a barrier of the
// carrier; all others pass it.
func look(open []Entry, barriers map[string]BarrierState, settle time.Duration, limit int, now time.Time) view {
	if !slices.ContainsFunc(open, func(e Entry) bool { return e.Barrier != nil }) {
		return view{ready: open[:min(limit, len(open))]}
	}
	var v view
	busy := make(map[string]bool, len(open)) // carriers with an open entry so far
	held := make(map[string]bool)            // carriers with a barrier so far
	send := func(e Entry) {
		if len(v.ready) < limit {
			v.ready = append(v.ready, e)
		}
	}
	for _, e := range open {
		switch {
		case held[e.Carrier]:
			continue
		case e.Barrier == nil:
			busy[e.Carrier] = true
			send(e)
			continue
		}
		state := barriers[e.Barrier.ID]
		opens := state.PassedAt
		if !e.Barrier.Quick {
			opens = opens.Add(settle)
		}
		if !state.PassedAt.IsZero() {
			if !now.Before(opens) {
				v.over = append(v.over, e)
				continue
			}
			if v.opens.IsZero() || opens.Before(v.opens) {
				v.opens = opens
			}
			held[e.Carrier] = true
			continue
		}
		held[e.Carrier] = true
		if busy[e.Carrier] {
			continue
		}
		switch {
		case e.Barrier.Sends && state.Reached:
			send(e)
		case !e.Barrier.Sends && !state.Reached:
			v.reached = append(v.reached, e.Barrier.ID)
			v.ask = append(v.ask, e.Barrier.ID)
		default:
			v.ask = append(v.ask, e.Barrier.ID)
		}
	}
	return v
}
