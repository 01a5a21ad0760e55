package scheduler

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// MaxLength is the greatest length of a schedule's text, in bytes.
const MaxLength = 200

// Schedule says at which minutes, in UTC, something is due. The zero Schedule has no
// slots. Schedules can be compared with ==; equal ones have equal texts.
type Schedule struct {
	// Bit n of each set is the value n, as in a cron text. The star of the day fields
	// is kept, because cron joins two restricted day fields by OR, not AND.
	minute, hour, day, month, weekday uint64

	// every is the distance of slots that are counted from the Unix epoch, or 0.
	every time.Duration
}

// starBit is set by cron's parser in a field that does not restrict anything.
const starBit = 1 << 63

var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Parse reads a cron text of five fields (minute, hour, day of month, month, day of
// week), one of @hourly, @daily, @weekly, @monthly, @yearly and their kin, or
// "@every 15m", whose slots are the multiples of that time since 1970. All times are
// UTC. A text that has no slot at all is an error.
func Parse(text string) (Schedule, error) {
	bad := func(format string, args ...any) (Schedule, error) {
		return Schedule{}, fmt.Errorf("schedule %q: %w", clip(text), fmt.Errorf(format, args...))
	}
	if len(text) > MaxLength {
		return bad("longer than %d bytes", MaxLength)
	}
	fields := strings.Fields(strings.ToLower(text))
	switch {
	case len(fields) == 0:
		return bad("empty; write five fields such as \"0 * * * *\" (every hour), or @hourly")
	case strings.HasPrefix(fields[0], "tz=") || strings.HasPrefix(fields[0], "cron_tz="):
		return bad("times are UTC and have no other zone; leave %s out", strings.ToUpper(fields[0]))
	case fields[0] == "@every":
		return parseEvery(fields[1:], bad)
	case strings.HasPrefix(fields[0], "@"):
	case len(fields) == 6:
		return bad("six fields; the shortest interval is a minute, so leave the seconds out")
	case len(fields) != 5:
		return bad("%d fields instead of five: minute, hour, day of month, month, day of week", len(fields))
	}
	for i, field := range fields {
		if why := suspicious(field, i == 4); why != "" {
			return bad("%s: %s", field, why)
		}
	}
	parsed, err := parser.Parse(strings.Join(fields, " "))
	if err != nil {
		return bad("%w", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return bad("not a schedule of slots")
	}
	s := Schedule{
		minute:  spec.Minute &^ starBit,
		hour:    spec.Hour &^ starBit,
		day:     spec.Dom,
		month:   spec.Month &^ starBit,
		weekday: spec.Dow,
	}
	if s.Next(time.Unix(0, 0)).IsZero() {
		return bad("there is no such day")
	}
	return s, nil
}

// parseEvery reads what follows "@every".
func parseEvery(args []string, bad func(string, ...any) (Schedule, error)) (Schedule, error) {
	if len(args) != 1 {
		return bad("write the interval as one word, such as @every 15m or @every 1h30m")
	}
	every, err := time.ParseDuration(args[0])
	switch {
	case err != nil:
		return bad("%q is no interval; write minutes and hours, such as 15m or 1h30m", args[0])
	case every < time.Minute:
		return bad("the shortest interval is a minute")
	case every%time.Minute != 0:
		return bad("an interval is a number of whole minutes")
	}
	return Schedule{every: every}, nil
}

// suspicious says what is wrong with fields that cron's parser takes for something
// other than they seem to say, or refuses without a hint.
func suspicious(field string, weekday bool) string {
	for part := range strings.SplitSeq(field, ",") {
		rest, _, _ := strings.Cut(part, "/")
		switch {
		case part == "":
			return "a value is missing beside a comma"
		case len(rest) > 1 && (rest[0] == '*' || rest[0] == '?'):
			return "a star stands for all values and cannot begin a range"
		case weekday && (rest == "7" || strings.HasSuffix(rest, "-7")):
			return "Sunday is 0; the days of the week are 0 to 6, or sun to sat"
		case strings.ContainsAny(part, "l#w") && strings.Trim(part, "0123456789l#w") == "":
			return "L, W and # are not known"
		}
	}
	return ""
}

// String is the canonical text: equal slots by equal fields, names as numbers.
func (s Schedule) String() string {
	if s.every > 0 {
		text := s.every.String()
		text = strings.TrimSuffix(text, "0s")
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return "@every " + text
	}
	if s == (Schedule{}) {
		return ""
	}
	return strings.Join([]string{
		field(s.minute, 0, 59, true),
		field(s.hour, 0, 23, true),
		field(s.day, 1, 31, s.day&starBit != 0),
		field(s.month, 1, 12, true),
		field(s.weekday, 0, 6, s.weekday&starBit != 0),
	}, " ")
}

// MarshalText is the canonical text.
func (s Schedule) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses a schedule; the empty text is the zero Schedule.
func (s *Schedule) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*s = Schedule{}
		return nil
	}
	*s, err = Parse(string(text))
	return err
}

// field writes a set of values between low and high as a field of a cron text. If
// mayStar, the set of all is a star.
func field(set uint64, low, high int, mayStar bool) string {
	set &^= starBit
	full := span(low, high)
	if set == full && mayStar {
		return "*"
	}
	for step := 2; step <= (high-low)/2; step++ {
		var progression uint64
		for v := low; v <= high; v += step {
			progression |= 1 << v
		}
		if set == progression {
			return "*/" + strconv.Itoa(step)
		}
	}
	var runs []string
	for set != 0 {
		from := bits.TrailingZeros64(set)
		to := from + bits.TrailingZeros64(^(set >> from)) - 1
		set &^= span(from, to)
		switch to - from {
		case 0:
			runs = append(runs, strconv.Itoa(from))
		case 1:
			runs = append(runs, strconv.Itoa(from), strconv.Itoa(to))
		default:
			runs = append(runs, fmt.Sprintf("%d-%d", from, to))
		}
	}
	return strings.Join(runs, ",")
}

// span is the set of the values from low to high.
func span(low, high int) uint64 { return (1<<(high+1) - 1) &^ (1<<low - 1) }

// clip shortens a text for an error message.
func clip(text string) string {
	if len(text) <= MaxLength {
		return text
	}
	return text[:40] + "..."
}
