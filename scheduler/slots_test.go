package scheduler_test

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"

	"muster/scheduler"
)

func schedule(t testing.TB, text string) scheduler.Schedule {
	t.Helper()
	s, err := scheduler.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	instant, err := time.Parse("2006-01-02 15:04:05.999", text)
	if err != nil {
		t.Fatal(err)
	}
	return instant
}

func TestNextAndLatest(t *testing.T) {
	for _, test := range []struct{ schedule, at, latest, next string }{
		{"0 * * * *", "2026-02-02 10:17:00", "2026-02-02 10:00:00", "2026-02-02 11:00:00"},
		{"0 * * * *", "2026-02-02 10:00:00", "2026-02-02 10:00:00", "2026-02-02 11:00:00"},
		{"0 * * * *", "2026-02-02 09:59:59.999", "2026-02-02 09:00:00", "2026-02-02 10:00:00"},
		{"* * * * *", "2026-02-02 10:17:30", "2026-02-02 10:17:00", "2026-02-02 10:18:00"},
		{"30 2 * * *", "2026-03-08 12:00:00", "2026-03-08 02:30:00", "2026-03-09 02:30:00"}, // a day without 02:30 in New York
		{"45 23 31 * *", "2026-03-01 00:00:00", "2026-01-31 23:45:00", "2026-03-31 23:45:00"},
		{"0 0 1 1 *", "2026-07-01 00:00:00", "2026-01-01 00:00:00", "2027-01-01 00:00:00"},
		{"0 0 29 2 *", "2026-02-28 23:59:59", "2024-02-29 00:00:00", "2028-02-29 00:00:00"},
		{"0 0 29 2 *", "2100-03-01 00:00:00", "2096-02-29 00:00:00", "2104-02-29 00:00:00"},
		{"0 0 29 2 *", "2103-12-31 00:00:00", "2096-02-29 00:00:00", "2104-02-29 00:00:00"},
		{"0 12 13 * 5", "2026-02-08 00:00:00", "2026-02-06 12:00:00", "2026-02-13 12:00:00"}, // the 13th, and Fridays
		{"10-20/5 6,18 * * *", "2026-02-02 06:14:00", "2026-02-02 06:10:00", "2026-02-02 06:15:00"},
		{"10-20/5 6,18 * * *", "2026-02-02 06:20:01", "2026-02-02 06:20:00", "2026-02-02 18:10:00"},
		{"10-20/5 6,18 * * *", "2026-02-02 00:00:00", "2026-02-01 18:20:00", "2026-02-02 06:10:00"},
		{"@every 7m", "1970-01-01 00:00:00", "1970-01-01 00:00:00", "1970-01-01 00:07:00"},
		{"@every 1h", "1969-12-31 23:59:59.999", "1969-12-31 23:00:00", "1970-01-01 00:00:00"},
		{"@every 45m", "2026-02-02 00:10:00", "2026-02-02 00:00:00", "2026-02-02 00:45:00"},
	} {
		s := schedule(t, test.schedule)
		// The zone of the instant must not matter.
		instant := at(t, test.at).In(time.FixedZone("east", 5*3600+1800))
		if got := s.Latest(instant); got != at(t, test.latest) {
			t.Errorf("%s at %s: latest %v, want %s", test.schedule, test.at, got, test.latest)
		}
		if got := s.Next(instant); got != at(t, test.next) {
			t.Errorf("%s at %s: next %v, want %s", test.schedule, test.at, got, test.next)
		}
	}
}

func TestZeroScheduleHasNoSlots(t *testing.T) {
	var s scheduler.Schedule
	now := at(t, "2026-02-02 00:00:00")
	if _, _, due := s.Due(time.Time{}, now); due || !s.Next(now).IsZero() || !s.Latest(now).IsZero() || s.String() != "" {
		t.Error("the zero schedule has a slot, or a text")
	}
}

// TestNextIsThatOfCron: cron gives up after five years; nearer slots must agree.
func TestNextIsThatOfCron(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := parsed().Draw(rt, "schedule")
		if s.String()[0] == '@' {
			rt.Skip("cron counts intervals from now")
		}
		oracle, err := cron.ParseStandard(s.String())
		if err != nil {
			rt.Fatal(err)
		}
		after := instant().Draw(rt, "after").UTC()
		if want := oracle.Next(after); !want.IsZero() && s.Next(after) != want {
			rt.Fatalf("%s after %v: %v, by cron %v", s, after, s.Next(after), want)
		}
	})
}

// TestLatestAndNextEncloseEveryInstant: between the two there is no other slot.
func TestLatestAndNextEncloseEveryInstant(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := parsed().Draw(rt, "schedule")
		now := instant().Draw(rt, "now")
		latest, next := s.Latest(now), s.Next(now)
		if latest.After(now) || !next.After(now) || latest.Location() != time.UTC || next.Location() != time.UTC {
			rt.Fatalf("%s at %v: latest %v, next %v", s, now, latest, next)
		}
		if s.Next(latest) != next || s.Latest(next) != next || s.Latest(next.Add(-1)) != latest || s.Next(latest.Add(-1)) != latest {
			rt.Fatalf("%s at %v: there is a slot between %v and %v, or they are none", s, now, latest, next)
		}
	})
}

// TestDueCountsWhatWasMissed against a walk over all slots.
func TestDueCountsWhatWasMissed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := parsed().Draw(rt, "schedule")
		last := instant().Draw(rt, "last")
		now := last.Add(time.Duration(rapid.Int64Range(-86400, 10*86400).Draw(rt, "seconds")) * time.Second)
		var want []time.Time
		for slot := s.Next(last); !slot.After(now); slot = s.Next(slot) {
			want = append(want, slot)
		}
		slot, missed, due := s.Due(last, now)
		if due != (len(want) > 0) {
			rt.Fatalf("%s from %v to %v: due %t, slots %v", s, last, now, due, want)
		}
		if due && (slot != want[len(want)-1] || missed != len(want)-1) {
			rt.Fatalf("%s from %v to %v: %v with %d missed; want %v with %d", s, last, now, slot, missed, want[len(want)-1], len(want)-1)
		}
	})
}

func TestDueOfAJobThatNeverRan(t *testing.T) {
	s := schedule(t, "* * * * *")
	now := at(t, "2026-02-02 10:00:30")
	slot, missed, due := s.Due(time.Time{}, now)
	if !due || missed != 0 || slot != at(t, "2026-02-02 10:00:00") {
		t.Errorf("%v, %d missed, due %t", slot, missed, due)
	}
}

func BenchmarkLatestOfALeapDay(b *testing.B) {
	s := schedule(b, "0 0 29 2 *")
	now := at(b, "2104-02-28 00:00:00")
	for b.Loop() {
		s.Latest(now)
	}
}
