// Package mixpaneltest is a strict fake of Mixpanel's ingestion API.
//
// It answers /import, /track, /engage and /groups as Mixpanel does, checks every
// record by Mixpanel's published rules, and keeps what Mixpanel would hold: the
// profiles of users and groups, the events with and without duplicates, and the
// three ways in which a project can join identities. What Mixpanel accepts
// silently although the caller surely did not mean it - an unknown token, a missing
// ip=0, two requests at once for one profile - it accepts too, and writes it down:
// see [Server.Violations] and [Server.Orphans].
//
// In a test:
//
//	fake := mixpaneltest.Start(t, mixpaneltest.Options{})
//	client := newClient(fake.URL(), mixpaneltest.DefaultToken)
//	...
//	profile, ok := fake.Profile(mixpaneltest.DefaultToken, "user-1")
//
// [Start] fails the test at its end if a rule was broken that the test did not
// announce with [Server.Expect]. A program that wants to play Mixpanel on
// loopback uses [NewServer] and [Server.Start]; it can then be looked into over
// HTTP, beginning with GET /.
//
// Where Mixpanel's documents contradict each other or are silent, the fake takes
// the reading that makes a careless client fail, and the comment at that place
// says so. It does not simulate Mixpanel's propagation delays (up to a day for
// reports), does not know where an IP address is, and has no query API.
//
// The package imports nothing of the rest of Muster, so that it cannot share a
// mistake with the client that it judges.
package mixpaneltest
