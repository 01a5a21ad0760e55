// Package mixpanel is the Mixpanel destination: what a Segment call becomes in
// Mixpanel, and how it gets there.
//
// The package has three layers, each usable alone:
//
//   - [Mapper] is pure. It turns one call into the messages that Mixpanel must
//     receive, or into a [Rejection]. It does no I/O and reads no clock, so the same
//     call always becomes the same bytes; Mixpanel's deduplication rests on that.
//   - [Client] is the wire: requests, credentials, limits, pace, and what an answer
//     says about every single record.
//   - [Destination] joins the two for a delivery loop: calls in, one outcome per
//     call out, in order per profile.
//
// It knows nothing of queues, audiences or storage.
package mixpanel

import "muster/event"

// UnsetProperty is the type of an administrative operation, not of a Segment call:
// remove properties from a profile. Such a call carries the ids of the profile and, in
// Properties, a JSON list of property names instead of an object. No other field
// is read; it is not subject to the five-year rule.
const UnsetProperty event.Type = "unset_property"
