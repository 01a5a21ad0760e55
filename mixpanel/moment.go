package mixpanel

import (
	"math"
	"strconv"
	"strings"
	"time"

	"muster/event"
)

// maxAge is the age of a call in years from which on it is refused.
const maxAge = 5

// maxAhead is how far in the future Mixpanel accepts an event.
const maxAhead = time.Hour

// momentOf is when a call happened. A time in the future is replaced by the time of
// receipt: the answer must not change between two attempts, or Mixpanel would
// count the event twice.
func momentOf(c *event.Call, now time.Time) (time.Time, Warnings) {
	at := c.Timestamp
	for _, fallback := range [...]time.Time{c.OriginalTimestamp, c.ReceivedAt, now} {
		if !at.IsZero() {
			break
		}
		at = fallback
	}
	received := c.ReceivedAt
	if received.IsZero() {
		received = now
	}
	if at.Sub(received) > maxAhead {
		return received, WarnFutureTime
	}
	return at, 0
}

// tooOld is the rejection of a call that happened more than five years before now, or nil.
func tooOld(at, now time.Time) *Rejection {
	// Cheap for the usual case: five years have 1,826 days or more.
	if now.Sub(at) < maxAge*365*24*time.Hour || !at.Before(now.UTC().AddDate(-maxAge, 0, 0)) {
		return nil
	}
	r := reject(CodeTooOld, "Timestamp must be within the last 5 years")
	if at.UTC().Year() == 1970 {
		r.Hint = "the year is 1970: the client sent something other than a time"
	}
	return r
}

// secondsLimit divides numbers that are seconds from numbers that are milliseconds: as
// milliseconds it is New Year's Eve 1970, as seconds the year 2970.
const secondsLimit = 31_557_600_000

// instantLayouts are the texts that count as an instant; without a zone it is UTC.
var instantLayouts = []string{
	time.RFC3339Nano, time.DateOnly, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
}

// readInstant reads a date as clients write it: ISO 8601 text, or seconds or
// milliseconds since 1970, also as text.
func readInstant(value []byte) (time.Time, bool) {
	if f, ok := finite(value); ok {
		return sinceEpoch(f)
	}
	if !isString(value) {
		return time.Time{}, false
	}
	text := strings.TrimSpace(string(unquote(value)))
	for _, layout := range instantLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, plausibleYear(at)
		}
	}
	if len(text) == 10 || len(text) == 13 {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return sinceEpoch(float64(n))
		}
	}
	return time.Time{}, false
}

func sinceEpoch(f float64) (time.Time, bool) {
	if math.Abs(f) < secondsLimit {
		f *= 1000
	}
	const end = 253_402_300_800_000 // the year 10000
	if math.Abs(f) >= end {
		return time.Time{}, false
	}
	at := time.UnixMilli(int64(f)).UTC()
	return at, plausibleYear(at)
}

// plausibleYear keeps dates that can be written with four digits.
func plausibleYear(at time.Time) bool {
	year := at.UTC().Year()
	return year >= 1 && year <= 9999
}
