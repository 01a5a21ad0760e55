// Package scenario is the timeline language of `muster test`: unit tests for audiences
// and computed traits. A scenario says what is defined, which Segment calls come at
// which instants, who must then be a member, which values traits must have, and what
// must have been sent. The language is described in docs/testing.md.
//
// [Load] reads a file of scenarios and reports all its faults at once. [Run] plays
// scenarios, each on a fresh [System], and compares. The package knows the language and
// the comparison; how a system evaluates, stores and sends it does not know.
package scenario
