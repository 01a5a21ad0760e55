package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"muster/engine"
	"muster/store"
	"muster/web"
)

// lateAfter is how long a slot may be due before that is a problem.
const lateAfter = 5 * time.Minute

// problem is something that an operator should know.
type problem struct {
	About  string `json:"about"` // schedule, computation or destination
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// health says whether all is well, and if not, what is wrong. muster doctor looks at more.
func (a *API) health(r *request) (any, error) {
	failing, err := a.store.FailingSlots(r.Context())
	if err != nil {
		return nil, err
	}
	snapshot, err := a.store.Snapshot(r.Context())
	if err != nil {
		return nil, err
	}
	lags, err := a.store.Lags(r.Context())
	if err != nil {
		return nil, err
	}
	problems := []problem{}
	for _, f := range failing {
		problems = append(problems, problem{"schedule", f.Schedule, fmt.Sprintf("its slot fails, attempt %d: %s", f.Attempt, f.Error)})
	}
	problems = append(problems, lateness(snapshot, a.cfg.Now())...)
	for _, l := range lags {
		problems = append(problems, trouble(l, snapshot)...)
	}
	status := "ok"
	if len(problems) > 0 {
		status = "degraded"
	}
	answer := map[string]any{"status": status, "problems": problems, "computations": len(snapshot.Computations), "destinations": len(lags)}
	if b := snapshot.Backfill; b != nil {
		answer["backfill"] = map[string]int64{"profiles": b.Total, "done": b.Done}
	}
	return answer, nil
}

// lateness finds what is not as of its last slot, and what has failed.
func lateness(s web.Snapshot, now time.Time) (problems []problem) {
	for _, c := range s.Computations {
		late := now.Sub(c.Due)
		switch {
		case c.Status == string(engine.Failed):
			problems = append(problems, problem{"computation", c.Key, "it has failed; its status_reason says why"})
		case !c.AsOf.IsZero() && c.Failing == 0 && late > lateAfter:
			problems = append(problems, problem{"computation", c.Key, fmt.Sprintf("it is %s late: its values are as of %s", late.Round(time.Minute), c.AsOf.Format(time.RFC3339))})
		}
	}
	return problems
}

// trouble is what is wrong with a destination. Messages that had nobody to go to are not, and
// neither are those of people who are suppressed.
func trouble(l store.Lag, s web.Snapshot) (problems []problem) {
	add := func(reason string) { problems = append(problems, problem{"destination", l.Destination, reason}) }
	switch {
	case l.HaltedReason != "":
		add("it has stopped: " + l.HaltedReason)
	case l.Paused:
		add("it is paused")
	case l.Failing > 0:
		add("messages fail: " + l.LastReason)
	}
	for _, d := range s.Destinations {
		if d.Name != l.Destination {
			continue
		}
		var parts []string
		for _, kind := range letterKinds {
			if n := d.DeadLetters[kind]; n > 0 && kind != store.KindUndeliverable {
				parts = append(parts, strconv.FormatInt(n, 10)+" "+kind)
			}
		}
		if len(parts) > 0 {
			add("dead letters wait for a decision: " + strings.Join(parts, ", "))
		}
	}
	return problems
}
