package sdk_test

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// burst is a series of numbered events of one user.
type burst struct {
	user  string
	count int
	every int // milliseconds between them
}

// send has a library send the burst and checks that each event is stored once and that
// Mixpanel knows how many they are. trouble, which may be nil, happens meanwhile.
func (b burst) send(t *testing.T, s *system, d driver, trouble func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stepPatience)
	defer cancel()
	sent := make(chan error, 1)
	go func() {
		if err := d.do(ctx, command{Command: "track", User: b.user, Event: "Numbered", Count: b.count, Every: b.every}); err != nil {
			sent <- err
			return
		}
		sent <- d.do(ctx, command{Command: "flush"})
	}()
	if trouble != nil {
		trouble()
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	b.check(t, s)
}

// check waits until all is delivered and compares it with what was sent.
func (b burst) check(t *testing.T, s *system) {
	t.Helper()
	type numbered struct {
		Number   int
		Messages int
		Events   int
	}
	stored := func() []numbered {
		return query[numbered](t, s, `
			SELECT (e.properties->>'number')::int, count(DISTINCT e.message_id), count(*)
			FROM inspect.events e JOIN muster.external_ids x USING (profile_id)
			WHERE e.name = 'Numbered' AND x.id_type = 'user_id' AND x.id_value = $1 GROUP BY 1 ORDER BY 1`, b.user)
	}
	eventually(t, func() string { // browsers cannot be asked whether they have sent everything
		if n := len(stored()); n < b.count {
			return fmt.Sprintf("%d of %d events have arrived", n, b.count)
		}
		return ""
	})
	quiet(t, s)
	for i, n := range stored() {
		if n.Number != i || n.Messages != 1 || n.Events != 1 {
			t.Fatalf("place %d: number %d, %d messages, %d events; want each number once", i, n.Number, n.Messages, n.Events)
		}
	}
	eventually(t, func() string {
		if got := s.property(b.user, "numbered"); got != float64(b.count) {
			return fmt.Sprintf("Mixpanel was told %v events of %s, not %d", got, b.user, b.count)
		}
		return ""
	})
}

// troubled is a burst that lasts long enough for something to happen meanwhile.
func troubled(user string) burst { return burst{user: user, count: 600, every: 4} }

// after waits until one of the gate's numbers has grown since before.
func (s *system) after(t *testing.T, what string, number func(counts) int, before counts) {
	t.Helper()
	eventually(t, func() string {
		if number(s.gate.counts()) > number(before) {
			return ""
		}
		return "no request was " + what
	})
}

func answered(c counts) int  { return c.answered }
func refused(c counts) int   { return c.refused }
func lost(c counts) int      { return c.lost }
func unreached(c counts) int { return c.unreached }

// testRefused has requests refused for more than a second.
func testRefused(t *testing.T, s *system, d driver) {
	troubled("refused").send(t, s, d, func() {
		before := s.gate.counts()
		s.gate.make(refuseAll)
		s.after(t, "refused", refused, before)
		time.Sleep(1_200 * time.Millisecond)
		s.gate.make(noTrouble)
	})
}

// testLimited has muster itself refuse requests, because they come faster than it allows the
// source.
func testLimited(t *testing.T, s *system, d driver, count int) {
	s.limit(t, 1)
	before := s.gate.counts()
	burst{user: "hasty", count: count, every: 4}.send(t, s, d, nil)
	if s.gate.counts().limited == before.limited {
		t.Error("no request was one too many, so nothing is shown")
	}
	s.limit(t, 1e6)
}

// testLostAnswers has requests done but not answered, so that the library sends what is
// stored already.
func testLostAnswers(t *testing.T, s *system, d driver) {
	repeated := s.gate.repeated()
	troubled("lost").send(t, s, d, func() {
		before := s.gate.counts()
		s.after(t, "answered", answered, before)
		s.gate.make(loseAnswers)
		s.after(t, "lost", lost, s.gate.counts())
		s.gate.make(noTrouble)
	})
	if s.gate.repeated() == repeated {
		t.Error("the library sent nothing twice, so nothing is shown")
	}
}

// testRestart stops muster in the middle of a burst and starts it again after the library
// has found it gone.
func testRestart(t *testing.T, s *system, d driver, user string, stop func() error) {
	troubled(user).send(t, s, d, func() {
		before := s.gate.counts()
		s.after(t, "answered", answered, before)
		if err := stop(); err != nil {
			t.Error(err)
		}
		s.after(t, "left without an answer", unreached, before)
		s.start(t)
	})
}
