package result

import "testing"

func TestTimesTheBaseline(t *testing.T) {
	for _, c := range []struct {
		line Line
		want float64
	}{
		{Line{Value: 10, Against: 720, Unit: "ms"}, 72},       // a tenth of the time: faster
		{Line{Value: 20, Against: 100, Unit: "calls/s"}, 0.2}, // a fifth of the rate: slower
		{Line{Value: 500, Against: 250, Unit: "B/event"}, 2},  // twice as much
		{Line{Value: 500, Unit: "B/event"}, 0},                // nothing to compare with
		{Line{Value: 0, Against: 3, Unit: "% of a core"}, 0},  // nothing measured
		{Line{Value: 3, Against: 1, Unit: "us/call"}, 3},      // per thing, not a time
		{Line{Value: 2.5, Against: 5, Unit: "s"}, 2},          // half the time
	} {
		var r Report
		r.Add(c.line)
		if got := r.Lines[0].Speed; got != c.want {
			t.Errorf("%+v: %v, want %v", c.line, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0", 0.0123: "0.012", 7.25: "7.2", 99.96: "100.0", 1234: "1,234", 20_000_000: "20,000,000"} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %q, want %q", v, got, want)
		}
	}
}
