package scenario_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/scenario"
)

func TestParseOffset(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"+0d":        0,
		"+7d1h":      7*day + time.Hour,
		"-3d":        -3 * day,
		"-3d2h":      -(3*day + 2*time.Hour),
		"+7d-1h":     7*day - time.Hour,
		"-1d+1h30m":  -day + 90*time.Minute,
		"89d13h":     89*day + 13*time.Hour,
		"+1m1s1ms":   time.Minute + time.Second + time.Millisecond,
		"+90s":       90 * time.Second,
		"+1ms":       time.Millisecond,
		"+1h1h":      2 * time.Hour,
		"+106751d":   106751 * day,
		"+0d0h0m0ms": 0,
	} {
		if got, err := scenario.ParseOffset(text); err != nil || time.Duration(got) != want {
			t.Errorf("%q is %v, %v; want %v", text, time.Duration(got), err, want)
		}
	}
	for _, text := range []string{
		"", "+", "-", "0", "+1", "d", "+d", "+1.5d", "+1 d", " +1d", "+1d ", "+-1d", "1day", "+1w", "+1D", "+1dh", "now", "+1d,",
		"+106752d", "+99999999999999999999d", "+106751d106751d", "-106751d-106751d",
	} {
		if got, err := scenario.ParseOffset(text); err == nil {
			t.Errorf("%q is taken for %v", text, time.Duration(got))
		}
	}
}

func TestOffsetsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := scenario.Offset(rapid.Int64().Draw(t, "offset")) / scenario.Offset(time.Millisecond) * scenario.Offset(time.Millisecond)
		if again, err := scenario.ParseOffset(o.String()); err != nil || again != o {
			t.Fatalf("%d is written %s and read %d, %v", o, o, again, err)
		}
	})
	if got := scenario.Offset(math.MinInt64).String(); got != "-106751d23h47m16s854ms" {
		t.Errorf("the first offset is %s", got)
	}
}

func FuzzParseOffset(f *testing.F) {
	for _, text := range []string{"+7d1h", "-3d", "+1d-1h", "ms"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := scenario.ParseOffset(text)
		if err != nil {
			return
		}
		if again, err := scenario.ParseOffset(o.String()); err != nil || again != o {
			t.Errorf("%q is %d, written %s and read %d, %v", text, o, o, again, err)
		}
	})
}
