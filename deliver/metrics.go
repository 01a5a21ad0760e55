package deliver

import (
	"time"

	"muster/engine"
)

// Metrics hears what is delivered. It is safe for concurrent use.
type Metrics interface {
	// Counted: n calls for the destination got the verdict, with the code of their
	// outcomes ("" when they had none). Each try of a call counts.
	Counted(destination string, v engine.Verdict, code string, n int)
	// Lag: the oldest open entry that the lane knows of was queued age ago; 0 when
	// the lane has caught up. Of a lane that nobody works on nothing is heard.
	Lag(lane Lane, age time.Duration)
}

type unheard struct{}

func (unheard) Counted(string, engine.Verdict, string, int) {}
func (unheard) Lag(Lane, time.Duration)                     {}
