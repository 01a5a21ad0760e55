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

// Joins tells whether c makes two ids one person, so that it has to stand in the lanes of both when
// it is queued: everything older of both must be acknowledged before it is sent, and nothing newer
// of them may be sent until Send has returned. Within one Send that is kept; across concurrent ones
// it is the caller's part. A pair that was acknowledged before is joined already, and is not sent
// again. Of an identify only the first one with its pair joins, told by Queued: those that
// follow come after it.
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
