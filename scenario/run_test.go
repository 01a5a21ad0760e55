package scenario_test

import (
	"strings"
	"testing"

	"muster/scenario"
)

func TestConformanceOnTheModel(t *testing.T) {
	report, err := scenario.Run(t.Context(), []string{"testdata/conformance.yaml"}, scenario.Options{Open: newModel})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.Write(&text, false); err != nil {
		t.Fatal(err)
	}
	if passed, failed := report.Count(); failed > 0 || passed != 35 {
		t.Errorf("%d passed, %d failed:\n%s", passed, failed, text.String())
	}
}
