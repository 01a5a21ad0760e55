package app_test

import (
	"testing"
	"time"
)

// Who reads an audience that the clock alone changes, inside of a condition on events, is
// decided from all of the person's events at its slot.
func TestSlotReplaysReaders(t *testing.T) {
	l := newLife(t)
	l.want("refused", l.defines(audience("fresh", "event('Seen').within(1 day).count() >= 1"), audience("fond", "event('Seen').where(trait('fresh') = 'true').count() >= 2")), "")
	l.settle()
	l.tracks("kim", "Seen", "")
	l.tracks("kim", "Seen", "")
	l.pass(time.Hour)
	l.settle()
	l.want("members", l.number(`SELECT count(*) FROM inspect.members`), 2)
}
