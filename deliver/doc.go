// Package deliver brings what is queued to its destinations: in order per
// carrier, in batches, at a pace the destination can bear, again after
// failures, and to the dead letters when a destination refuses for good.
//
// It knows neither what a call means nor how the queue is stored nor how a
// destination speaks: it meets them through [Queue] and [Destination].
//
// # Promises
//
//   - At least once: a lane's position moves over an entry only after the
//     destination has answered for it. Entries that are not Repeatable are sent
//     at most once instead: what a crash leaves open is parked as uncertain.
//   - In order per carrier: every Send carries all open entries of a lane in the
//     order of the queue, and a [Destination] does not apply an entry after one
//     of the same carrier that it asked to retry.
//   - Destinations are independent of each other: a slow, dead, paused or halted
//     one delays no other.
package deliver
