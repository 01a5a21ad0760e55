package deliver

import (
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	p := Pace{FirstDelay: 2 * time.Second, LongestDelay: time.Minute}.withDefaults()
	const almostOne = 1 - 1e-9
	for _, c := range []struct {
		attempt    int
		retryAfter time.Duration
		random     float64
		want       time.Duration
	}{
		{1, 0, 0, 0},
		{1, 0, almostOne, 2 * time.Second},
		{2, 0, almostOne, 4 * time.Second},
		{5, 0, 0.5, 16 * time.Second},
		{6, 0, almostOne, time.Minute},
		{1 << 40, 0, almostOne, time.Minute},
		{1, 10 * time.Second, 0, 10 * time.Second},
		{9, 10 * time.Second, 0.5, 11 * time.Second},
		{1, 1e6 * time.Hour, 0, time.Hour},
	} {
		if got := p.delay(c.attempt, c.retryAfter, c.random).Round(time.Millisecond); got != c.want {
			t.Errorf("delay(%d, %v, %v) = %v, want %v", c.attempt, c.retryAfter, c.random, got, c.want)
		}
	}
}

func TestPaceReportsEveryFault(t *testing.T) {
	if err := (Pace{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	err := Pace{Batch: 10, Window: 5, Concurrency: -1, FirstDelay: time.Minute, LongestDelay: time.Second, GiveUpAge: -1}.Validate()
	want := "concurrency is -1: it must be at least 1 (0 means the default)\n" +
		"give-up age is -1ns: it must be positive (0 means the default)\n" +
		"window is 5: it must be at least the batch, 10\n" +
		"longest delay is 1s: it must be at least the first delay, 1m0s"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
