package query

import (
	"strconv"
	"time"
)

// duration is a length of time as a definition writes it.
type duration struct {
	length time.Duration
	// calendar: written in days or weeks, so that dates compare by calendar days.
	calendar bool
}

// Limits of durations.
const (
	MaxDuration = 3650 * day
	MinSession  = 30 * time.Minute
	MaxSession  = 90 * day
)

// units from the largest; weeks are read, and printed as days.
var units = [...]struct {
	name   string
	length time.Duration
}{
	{"day", day},
	{"hour", time.Hour},
	{"minute", time.Minute},
	{"second", time.Second},
	{"week", 7 * day},
}

func unitOf(name string) (length time.Duration, ok bool) {
	for _, u := range units {
		if name == u.name || name == u.name+"s" {
			return u.length, true
		}
	}
	return 0, false
}

// formatDuration is the canonical text of a window's length, in the largest unit
// that divides it: a day is always 24 hours there.
func formatDuration(d time.Duration) string { return formatIn(d, 0) }

// String is the canonical text. Days and hours stay apart: they compare dates
// differently.
func (d duration) String() string {
	if d.calendar {
		return formatIn(d.length, 0)
	}
	return formatIn(d.length, 1)
}

func formatIn(d time.Duration, largest int) string {
	for _, u := range units[largest:] {
		if d%u.length == 0 {
			n := int64(d / u.length)
			text := strconv.FormatInt(n, 10) + " " + u.name
			if n != 1 {
				text += "s"
			}
			return text
		}
	}
	return d.String() // not reached: the second divides all that can be written
}
