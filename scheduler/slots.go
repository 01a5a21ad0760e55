package scheduler

import (
	"math/bits"
	"time"
)

// horizon is more than the longest gap between two slots of a schedule, in days: that
// of 29 February over a year 2100. It bounds the walk of Next and Latest, which step
// over days and over whole months without slots.
const horizon = 8*366 + 1

// Next is the first slot after an instant, or the zero time for the zero Schedule.
func (s Schedule) Next(after time.Time) time.Time {
	if s.every > 0 {
		return floor(after, s.every).Add(s.every)
	}
	t := floor(after, time.Minute).Add(time.Minute)
	for range horizon {
		if s.onDay(t) {
			if minute, ok := s.firstMinute(t.Hour()*60 + t.Minute()); ok {
				return midnight(t, 0).Add(time.Duration(minute) * time.Minute)
			}
		}
		if t = midnight(t, 1); !s.inMonth(t) {
			t = midnight(t, 1-t.Day()).AddDate(0, 1, 0)
		}
	}
	return time.Time{}
}

// Latest is the newest slot that is not after an instant, or the zero time for the zero
// Schedule.
func (s Schedule) Latest(at time.Time) time.Time {
	if s.every > 0 {
		return floor(at, s.every)
	}
	t := at.UTC()
	for range horizon {
		if s.onDay(t) {
			if minute, ok := s.lastMinute(t.Hour()*60 + t.Minute()); ok {
				return midnight(t, 0).Add(time.Duration(minute) * time.Minute)
			}
		}
		if t = midnight(t, 0).Add(-time.Minute); !s.inMonth(t) {
			t = midnight(t, 1-t.Day()).Add(-time.Minute)
		}
	}
	return time.Time{}
}

// Due is the newest slot after last and not after now, and how many older slots between
// them it stands in for. It is false if there is none: the slot has not come yet, or the
// clock was set back. If last is the zero time nothing counts as missed.
func (s Schedule) Due(last, now time.Time) (slot time.Time, missed int, due bool) {
	slot = s.Latest(now)
	if slot.IsZero() || !slot.After(last) {
		return time.Time{}, 0, false
	}
	if last.IsZero() {
		return slot, 0, true
	}
	return slot, s.count(last, slot), true
}

// count is the number of slots after one instant and before another.
func (s Schedule) count(after, before time.Time) int {
	if s.every > 0 {
		step := int64(s.every / time.Second)
		return int((floor(before.Add(-1), s.every).Unix() - floor(after, s.every).Unix()) / step)
	}
	// The slots of whole days, less those of the first day that are too early, and those
	// of the last that are too late.
	n := 0
	for day := midnight(after, 0); day.Before(before); day = midnight(day, 1) {
		if s.onDay(day) {
			n += bits.OnesCount64(s.minute) * bits.OnesCount64(s.hour)
		}
	}
	return n - s.upTo(after) - s.from(before)
}

// upTo is the number of slots on the day of t that are not after t.
func (s Schedule) upTo(t time.Time) int {
	t = t.UTC()
	if !s.onDay(t) {
		return 0
	}
	n := bits.OnesCount64(s.hour&(1<<t.Hour()-1)) * bits.OnesCount64(s.minute)
	if s.hour&(1<<t.Hour()) != 0 {
		n += bits.OnesCount64(s.minute & span(0, t.Minute()))
	}
	return n
}

// from is the number of slots that are not before t, on the day of the instant before t.
func (s Schedule) from(t time.Time) int {
	before := t.UTC().Add(-1)
	if !s.onDay(before) {
		return 0
	}
	return bits.OnesCount64(s.minute)*bits.OnesCount64(s.hour) - s.upTo(before)
}

// onDay says whether the schedule has slots on the day of t.
func (s Schedule) onDay(t time.Time) bool {
	if !s.inMonth(t) {
		return false
	}
	onDate := s.day&(1<<t.Day()) != 0
	onWeekday := s.weekday&(1<<t.Weekday()) != 0
	if (s.day|s.weekday)&starBit != 0 {
		return onDate && onWeekday
	}
	return onDate || onWeekday
}

// inMonth says whether the schedule may have slots in the month of t.
func (s Schedule) inMonth(t time.Time) bool { return s.month&(1<<t.Month()) != 0 }

// firstMinute is the first slot of a day with slots from a minute of that day on.
func (s Schedule) firstMinute(from int) (int, bool) {
	hour, minute := from/60, from%60
	if s.hour&(1<<hour) != 0 {
		if rest := s.minute >> minute; rest != 0 {
			return from + bits.TrailingZeros64(rest), true
		}
	}
	rest := s.hour >> (hour + 1)
	if rest == 0 {
		return 0, false
	}
	return (hour+1+bits.TrailingZeros64(rest))*60 + bits.TrailingZeros64(s.minute), true
}

// lastMinute is the last slot of a day with slots up to a minute of that day.
func (s Schedule) lastMinute(upTo int) (int, bool) {
	hour, minute := upTo/60, upTo%60
	if s.hour&(1<<hour) != 0 {
		if rest := s.minute & span(0, minute); rest != 0 {
			return hour*60 + bits.Len64(rest) - 1, true
		}
	}
	rest := s.hour & (1<<hour - 1)
	if rest == 0 {
		return 0, false
	}
	return (bits.Len64(rest)-1)*60 + bits.Len64(s.minute) - 1, true
}

// midnight is the beginning of the day that is some days after that of t.
func midnight(t time.Time, days int) time.Time {
	year, month, day := t.UTC().Date()
	return time.Date(year, month, day+days, 0, 0, 0, 0, time.UTC)
}

// floor is the greatest multiple of d since the Unix epoch that is not after t, in UTC.
func floor(t time.Time, d time.Duration) time.Time {
	// In two steps: nanoseconds since the epoch only reach 292 years.
	seconds, step := t.Unix(), int64(d/time.Second)
	rest := seconds % step
	if rest < 0 {
		rest += step
	}
	return time.Unix(seconds-rest, 0).UTC()
}
