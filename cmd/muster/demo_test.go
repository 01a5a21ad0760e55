package main

import (
	"regexp"
	"strings"
	"testing"

	"muster/internal/pgtest"
)

// TestDemo runs the whole demo. It judges itself: its proof compares every value of
// every id, and a difference ends it with an error.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the better part of a minute")
	}
	pgtest.DSN(t) // skips the test where there is no PostgreSQL
	r := background(t, nil, "demo")
	if code := <-r.done; code != exitOK {
		t.Fatalf("it ended with %d", code)
	}
	shown := r.err.String()
	for _, want := range []string{
		`Loaded 1 December 2010 to 30 September 2011: \d+ calls \(\d+ events\) of \d+ profiles`,
		`Defined 6 audiences and 4 traits; backfilled \d+ profiles`,
		`Played 1 October to 9 December 2011 hour by hour: \d+ calls, 1680 hourly slots, [1-9]\d* messages`,
		`active_7_days +audience +identify +hourly +[1-9]`,
		`refunders +audience +track +realtime +[1-9]`,
		`lifetime_value +trait +identify +realtime +[1-9]`,
		`One customer, as Mixpanel holds it now: `,
		`Proof: [1-9]\d{3,} values of external ids compared between the database and Mixpanel, 0 differences; 0 dead letters, 0 violations of Mixpanel's rules, 0 events sent twice\.`,
		`CC BY 4\.0`,
	} {
		if !regexp.MustCompile(want).MatchString(shown) {
			t.Errorf("it does not show %s", want)
		}
	}
	if strings.Contains(shown, "level") {
		t.Error("it logs warnings")
	}
}
