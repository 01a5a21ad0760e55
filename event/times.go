package event

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxAhead is how far the corrected time of a call may lie after its receipt.
// A later one is taken for a wrong clock and replaced by the time of receipt.
const MaxAhead = 24 * time.Hour

// secondsBelow divides numeric times: smaller ones are seconds since 1970, others
// milliseconds. As seconds it is the year 5138, as milliseconds March 1973.
const secondsBelow = 1e11

// latest is the end of the year 9999 in milliseconds, the last that ISO 8601 can write.
const latest = 253_402_300_799_999

// epoch is the earliest time of a call.
var epoch = time.Unix(0, 0).UTC()

// correct removes the client's clock error: the time between making the call and
// sending it is right even when the clock is wrong. Zero times are unknown.
func correct(original, sent, received time.Time) time.Time {
	switch {
	case original.IsZero():
		original = received
	case !sent.IsZero():
		original = received.Add(original.Sub(sent))
	}
	return original.Truncate(time.Millisecond)
}

// parseTime reads an ISO 8601 text (no zone means UTC) or a number of seconds or
// milliseconds since 1970.
func parseTime(v jsontext.Value) (time.Time, bool) {
	switch v.Kind() {
	case '"':
		return parseISO(string(unquoted(v)))
	case '0':
		return parseUnix(string(v))
	}
	return time.Time{}, false
}

func parseUnix(n string) (time.Time, bool) {
	if whole, err := strconv.ParseInt(n, 10, 64); err == nil {
		if whole < secondsBelow {
			if whole < math.MinInt64/1000 {
				return time.Time{}, false
			}
			whole *= 1000
		}
		return unixMilli(whole)
	}
	f, err := strconv.ParseFloat(n, 64)
	if err != nil {
		return time.Time{}, false
	}
	if f < secondsBelow {
		f *= 1000
	}
	if f > latest || f < -latest {
		return time.Time{}, false
	}
	return unixMilli(int64(math.Round(f)))
}

func unixMilli(ms int64) (time.Time, bool) {
	if ms > latest || ms < -latest {
		return time.Time{}, false
	}
	return time.UnixMilli(ms).UTC(), true
}

// isoLayouts are the forms of ISO 8601 beyond RFC 3339. A fraction of the second
// fits any of them.
var isoLayouts = func() []string {
	var all []string
	for _, day := range []string{"2006-1-2", "20060102"} {
		all = append(all, day)
		for _, clock := range []string{"15:04:05", "15:04", "150405", "1504"} {
			for _, zone := range []string{"", "Z07:00", "Z0700", "Z07"} {
				all = append(all, day+"T"+clock+zone)
			}
		}
	}
	return all
}()

// maxISO is the length of the longest text that is tried as a time.
const maxISO = 40

func parseISO(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		s = strings.ToUpper(strings.TrimSpace(s))
		if len(s) > maxISO {
			return time.Time{}, false
		}
		if !strings.Contains(s, "T") {
			s = strings.Replace(s, " ", "T", 1)
		}
		for _, layout := range isoLayouts {
			if t, err = time.Parse(layout, s); err == nil {
				break
			}
		}
	}
	if t = t.UTC(); err != nil || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t, true
}

// setTimes corrects the clock of the client.
func (c *Call) setTimes(f *fields, env *Envelope) *Rejection {
	original, field := c.readTime("timestamp", f.timestamp), "timestamp"
	if original.IsZero() {
		original, field = c.readTime("originalTimestamp", f.originalTimestamp), "originalTimestamp"
	}
	c.SentAt = env.SentAt
	if own := c.readTime("sentAt", f.sentAt); !own.IsZero() {
		c.SentAt = own
	}
	if c.SentAt.Before(epoch) { // a zero time of some client library
		c.SentAt = time.Time{}
	}
	sent := c.SentAt
	if env.Archived {
		sent = time.Time{}
	}
	c.Timestamp = correct(original, sent, c.ReceivedAt)
	c.OriginalTimestamp = original
	if original.IsZero() {
		c.OriginalTimestamp = c.ReceivedAt
	}
	if c.OriginalTimestamp.Before(epoch) || c.Timestamp.Before(epoch) {
		return reject(CodeTimestampOutOfRange, field, "the call lies before 1970-01-01")
	}
	if c.Timestamp.Sub(c.ReceivedAt) > MaxAhead {
		c.Timestamp = c.ReceivedAt.Truncate(time.Millisecond)
		c.warn(CodeTimestampInFuture, field)
	}
	return nil
}

// readTime is the time in v, or zero with a warning when it cannot be read.
func (c *Call) readTime(field string, v jsontext.Value) time.Time {
	if v == nil {
		return time.Time{}
	}
	t, ok := parseTime(v)
	if !ok {
		c.warn(CodeUnreadableTimestamp, field)
		return time.Time{}
	}
	return t
}

func (c *Call) warn(code Code, field string) {
	c.Warnings = append(c.Warnings, Warning{Code: code, Field: field})
}
