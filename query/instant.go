package query

import "time"

const day = 24 * time.Hour

// parseInstant reads ISO 8601: a date, or a date and time with "T". A time
// without a zone is UTC; a date alone is its midnight in UTC.
func parseInstant(s string) (t time.Time, dateOnly, ok bool) {
	if len(s) < 10 || s[4] != '-' || s[7] != '-' {
		return t, false, false
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	dayOfMonth, ok3 := digits(s[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || dayOfMonth < 1 {
		return t, false, false
	}
	t = time.Date(year, time.Month(month), dayOfMonth, 0, 0, 0, 0, time.UTC)
	if t.Day() != dayOfMonth { // the 30th of February
		return t, false, false
	}
	if len(s) == 10 {
		return t, true, true
	}
	clock, ok := parseClock(s[10:])
	return t.Add(clock), false, ok
}

// parseClock reads Thh:mm[:ss[.fraction]][zone] as the time since midnight UTC.
func parseClock(s string) (time.Duration, bool) {
	if len(s) < 6 || s[0] != 'T' || s[3] != ':' {
		return 0, false
	}
	hours, ok1 := digits(s[1:3])
	minutes, ok2 := digits(s[4:6])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	clock := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	s = s[6:]
	if len(s) >= 3 && s[0] == ':' {
		seconds, ok := digits(s[1:3])
		if !ok || seconds > 59 {
			return 0, false
		}
		clock += time.Duration(seconds) * time.Second
		s = s[3:]
		if len(s) >= 2 && (s[0] == '.' || s[0] == ',') && isDigit(s[1]) {
			unit := time.Second
			for s = s[1:]; len(s) > 0 && isDigit(s[0]); s = s[1:] {
				unit /= 10
				clock += time.Duration(s[0]-'0') * unit
			}
		}
	}
	zone, ok := parseZone(s)
	return clock - zone, ok
}

// parseZone reads nothing, Z, +hh, +hhmm or +hh:mm as the offset east of UTC.
func parseZone(s string) (time.Duration, bool) {
	if s == "" || s == "Z" {
		return 0, true
	}
	if len(s) == 6 && s[3] == ':' {
		s = s[:3] + s[4:]
	}
	if (len(s) != 3 && len(s) != 5) || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	hours, ok := digits(s[1:3])
	if !ok || hours > 23 {
		return 0, false
	}
	offset := time.Duration(hours) * time.Hour
	if len(s) == 5 {
		minutes, ok := digits(s[3:5])
		if !ok || minutes > 59 {
			return 0, false
		}
		offset += time.Duration(minutes) * time.Minute
	}
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// instant is a value as a time. Only strings are times.
func (v Value) instant() (t time.Time, dateOnly, ok bool) {
	if v.kind != KindString {
		return t, false, false
	}
	return parseInstant(v.text)
}

// formatInstant is the canonical text of a timestamp.
func formatInstant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
