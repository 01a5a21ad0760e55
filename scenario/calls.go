package scenario

import (
	"fmt"
	"time"

	"muster/engine"
	"muster/event"
)

// DefaultSource is the source of calls that do not name one.
const DefaultSource = "test"

// batchSize is how many calls are handed to a system at once.
const batchSize = 2_000

// decode makes the call as the Tracking API would at the instant. A given At is kept as
// it is, however far ahead.
func (e *Event) decode(at time.Time, newID func() string) (*event.Call, error) {
	c, err := event.Decode(e.Call, event.Envelope{ReceivedAt: at, NewID: newID})
	if err != nil {
		return nil, err
	}
	if !e.At.IsZero() {
		c.Timestamp, c.OriginalTimestamp = e.At, e.At
	}
	return c, nil
}

// calls are the calls that the events of a step make, number from 1. Message ids that
// are not given are made of the places of step, event and repetition; of a given one
// the second repetition becomes ID-2, and so on.
func (st *Step) calls(number int) ([]engine.Received, error) {
	var all []engine.Received
	for i, e := range st.Events {
		for n := range e.Repeat {
			given := true
			c, err := e.decode(st.At, func() string {
				given = false
				return fmt.Sprintf("muster-test-%d-%d-%d", number, i+1, n+1)
			})
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", e.Line, err)
			}
			if given && n > 0 {
				c.MessageID = fmt.Sprintf("%s-%d", c.MessageID, n+1)
			}
			all = append(all, engine.Received{Call: c, Source: e.Source})
		}
	}
	return all, nil
}
