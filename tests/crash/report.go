package crash

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what a run has shown. Times are seconds.
type Report struct {
	Seed      uint64  `json:"seed"`
	Processes int     `json:"processes"`
	Took      float64 `json:"took"`

	Kills struct {
		Muster   int `json:"muster"`   // of a process or of both, with PostgreSQL going on
		Postgres int `json:"postgres"` // of PostgreSQL alone
		Both     int `json:"both"`
	} `json:"kills"`

	Requests int `json:"requests"`
	Answered int `json:"answered"` // of the requests, 200
	Broken   int `json:"broken"`   // tries that were not answered
	Refused  int `json:"refused"`  // tries that were answered something else
	Repeated int `json:"repeated"` // requests that were sent again although they were answered
	Calls    int `json:"calls"`    // answered 200
	Stored   int `json:"stored"`   // calls; more than were answered, because answers got lost

	Edits     int   `json:"edits"` // of definitions, that were applied
	Backfills int64 `json:"backfills"`
	Slots     int64 `json:"slots"`
	Profiles  int64 `json:"profiles"`
	Merges    int64 `json:"merges"`

	Messages  int64 `json:"messages"`  // queued for Mixpanel: changes, and forwarded calls
	Told      int   `json:"told"`      // records that both Mixpanels took, repetitions included
	Again     int   `json:"again"`     // events that arrived more than once, and count once
	Uncertain int   `json:"uncertain"` // increments and charges that are set aside
	Faults    int   `json:"faults"`    // requests to Mixpanel that were made to fail

	Recovery     float64 `json:"recovery"`      // longest time without an answer 200 about a kill
	RecoveryHalf float64 `json:"recovery_half"` // the same, median of the kills
	Late         float64 `json:"late"`          // longest time from a change to its arrival at Mixpanel
	SlotLate     float64 `json:"slot_late"`     // longest time from a slot's instant to its end
	Rest         float64 `json:"rest"`          // until everything had come to rest

	Verified int64 `json:"verified"` // values that the reference evaluator has worked out again
	Compared int   `json:"compared"` // things compared besides: calls, values, messages

	Differences []string `json:"differences"`
	More        int      `json:"more"` // differences that are not listed

	recoveries []time.Duration
	unlimited  bool // list all differences
}

// listed is how many differences are listed.
const listed = 50

// differ notes something that is not as it has to be.
func (r *Report) differ(format string, args ...any) {
	if len(r.Differences) == listed && !r.unlimited {
		r.More++
		return
	}
	r.Differences = append(r.Differences, fmt.Sprintf(format, args...))
}

// count adds a kill.
func (r *Report) count(b blow, recovered time.Duration) {
	switch {
	case b.postgres && b.muster > 0:
		r.Kills.Both++
	case b.postgres:
		r.Kills.Postgres++
	default:
		r.Kills.Muster++
	}
	r.recoveries = append(r.recoveries, recovered)
	slices.Sort(r.recoveries)
	r.Recovery = seconds(r.recoveries[len(r.recoveries)-1])
	r.RecoveryHalf = seconds(r.recoveries[len(r.recoveries)/2])
}

func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}

// Print writes the report for people.
func (r *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "kills\t%d: %d of muster, %d of PostgreSQL, %d of both; %d processes, seed %d, %.0f s\n",
		len(r.recoveries), r.Kills.Muster, r.Kills.Postgres, r.Kills.Both, r.Processes, r.Seed, r.Took)
	fmt.Fprintf(w, "requests\t%d, answered 200: %d; tries broken off %d, refused %d; sent again although answered %d\n", r.Requests, r.Answered, r.Broken, r.Refused, r.Repeated)
	fmt.Fprintf(w, "calls\t%d answered 200, %d stored, of %d profiles that were joined %d times\n", r.Calls, r.Stored, r.Profiles, r.Merges)
	fmt.Fprintf(w, "definitions\t%d edits, %d backfills, %d slots\n", r.Edits, r.Backfills, r.Slots)
	fmt.Fprintf(w, "messages\t%d; records told %d, events that arrived again and count once %d, uncertain %d; %d requests made to fail\n", r.Messages, r.Told, r.Again, r.Uncertain, r.Faults)
	fmt.Fprintf(w, "no answer\t%.2f s at most about a kill, half of them within %.2f s\n", r.Recovery, r.RecoveryHalf)
	fmt.Fprintf(w, "late\ta change at Mixpanel by %.1f s at most, a slot by %.1f s; at rest after %.1f s\n", r.Late, r.SlotLate, r.Rest)
	fmt.Fprintf(w, "compared\t%d values by the reference evaluator, %d other things\n", r.Verified, r.Compared)
	fmt.Fprintf(w, "differences\t%d\n", len(r.Differences)+r.More)
	for _, d := range r.Differences {
		fmt.Fprintf(w, "\t%s\n", d)
	}
	return w.Flush()
}
