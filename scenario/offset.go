package scenario

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Offset is an instant, relative to the t0 of its scenario.
type Offset time.Duration

// offsetUnits from the largest. A day is 24 hours.
var offsetUnits = [...]struct {
	name   string
	length time.Duration
}{
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
}

var errOffset = errors.New("an offset is a signed sum of days, hours, minutes, seconds and milliseconds, such as +7d1h, -3d or +90s")

// ParseOffset reads a signed sum of d, h, m, s and ms: "+7d1h", "-3d". A sign holds
// for the terms up to the next sign; without one the terms are added.
func ParseOffset(text string) (Offset, error) {
	rest, sum, sign := text, time.Duration(0), time.Duration(1)
	for first := true; first || rest != ""; first = false {
		switch {
		case strings.HasPrefix(rest, "+"):
			rest, sign = rest[1:], 1
		case strings.HasPrefix(rest, "-"):
			rest, sign = rest[1:], -1
		}
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil && digits > 0 {
			return 0, fmt.Errorf("%q is too far away: offsets reach 292 years", text)
		} else if err != nil {
			return 0, errOffset
		}
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "dhms"))
		length := unitLength(rest[:letters])
		if length == 0 {
			return 0, errOffset
		}
		rest = rest[letters:]
		if n > int64(math.MaxInt64/length) {
			return 0, fmt.Errorf("%q is too far away: offsets reach 292 years", text)
		}
		term := sign * time.Duration(n) * length
		if term > 0 && sum > math.MaxInt64-term || term < 0 && sum < math.MinInt64-term {
			return 0, fmt.Errorf("%q is too far away: offsets reach 292 years", text)
		}
		sum += term
	}
	return Offset(sum), nil
}

func unitLength(name string) time.Duration {
	for _, u := range offsetUnits {
		if u.name == name {
			return u.length
		}
	}
	return 0
}

// String is the offset as [ParseOffset] reads it, in the largest units: "+7d1h".
// What is below a millisecond is left out.
func (o Offset) String() string {
	// Not negated: the most negative offset has no positive counterpart.
	rest, sign := time.Duration(o).Truncate(time.Millisecond), "+"
	if rest < 0 {
		sign = "-"
	}
	var b strings.Builder
	for _, u := range offsetUnits {
		if n := rest / u.length; n != 0 {
			fmt.Fprintf(&b, "%d%s", max(n, -n), u.name)
			rest -= n * u.length
		}
	}
	if b.Len() == 0 {
		return "+0d"
	}
	return sign + b.String()
}
