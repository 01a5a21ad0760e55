package lab_test

import (
	"bytes"
	"testing"
	"time"

	"muster/internal/pgtest"
	"muster/lab"
	"muster/scenario"
)

// The conformance scenarios are the product's own worked examples: every one of them must
// come out on the real engine, with a real database and messages over real HTTP.
func TestConformance(t *testing.T) {
	l, err := lab.New(t.Context(), pgtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	files := []string{"../scenario/testdata/conformance.yaml", "../scenario/testdata/identity.yaml", "testdata/shop.yaml"}
	report, err := scenario.Run(t.Context(), files, scenario.Options{Open: l.Open, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if passed, failed := report.Count(); failed > 0 || passed < 50 {
		var out bytes.Buffer
		if err := report.Write(&out, false); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%d passed, %d failed:\n%s", passed, failed, &out)
	}
}
