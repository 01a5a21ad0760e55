package mixpanel

import (
	"time"

	"muster/event"
)

// bundledName is how integrations and "_metadata" of a call name Mixpanel, in this spelling only.
const bundledName = "Mixpanel"

// Wants tells whether the call of a source is meant for Mixpanel from here: its integrations do
// not leave Mixpanel out, and the page that made it has not sent it itself.
func (d *Destination) Wants(c *event.Call) bool {
	meant, ok := meantForMixpanel(c.Integrations)
	return meant && ok && !c.BundledWith(bundledName)
}

// Joins tells whether c, when it is queued, has to stand in the lanes of both its ids: see
// Barrier. Of an identify that is so for the first one with its pair, told by Queued: those
// that follow come after it.
func (d *Destination) Joins(c *event.Call) bool {
	p, ok := pairOf(c, d.idMerge)
	return ok && !d.links.known(p) && (c.Type == event.Alias || !d.queued.known(p))
}

// Queued remembers that c stands in the queue.
func (d *Destination) Queued(c *event.Call) {
	if p, ok := pairOf(c, d.idMerge); ok {
		d.queued.remember(p)
	}
}

// Settle is how long the two ids of an alias wait after it.
func (d *Destination) Settle() time.Duration { return d.settings.settle() }

// LeaveSettling leaves it to the caller to keep the ids of an alias waiting: Send does not.
// It must not be called while Send works.
func (d *Destination) LeaveSettling() { d.settle = 0 }
