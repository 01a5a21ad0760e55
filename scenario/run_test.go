package scenario_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/scenario"
)

// run plays files on the model and returns the report as text.
func run(t *testing.T, o scenario.Options, verbose bool, files ...string) (scenario.Report, string) {
	t.Helper()
	if o.Open == nil {
		o.Open = newModel
	}
	report, err := scenario.Run(t.Context(), files, o)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.Write(&text, verbose); err != nil {
		t.Fatal(err)
	}
	return report, text.String()
}

func TestConformanceOnTheModel(t *testing.T) {
	report, text := run(t, scenario.Options{}, false, "testdata/conformance.yaml")
	if passed, failed := report.Count(); failed > 0 || passed != 35 {
		t.Errorf("%d passed, %d failed:\n%s", passed, failed, text)
	}
}

func TestIdentityOnTheModel(t *testing.T) {
	report, text := run(t, scenario.Options{}, false, "testdata/identity.yaml")
	if passed, failed := report.Count(); failed > 0 || passed != 18 {
		t.Errorf("%d passed, %d failed:\n%s", passed, failed, text)
	}
}

func TestDifferencesAreReadable(t *testing.T) {
	_, text := run(t, scenario.Options{}, false, "testdata/differences.yaml")
	golden(t, "differences.golden", text)
	_, text = run(t, scenario.Options{}, true, "testdata/differences.yaml")
	golden(t, "differences-verbose.golden", text)
}

func TestSelect(t *testing.T) {
	for pattern, want := range map[string]string{
		"^P01$":       "ok    P01  all is well\n1 passed, 0 failed\n",
		"all is well": "ok    P01  all is well\n1 passed, 0 failed\n",
		"none of all": "no scenario was selected\n0 passed, 0 failed\n",
	} {
		_, text := run(t, scenario.Options{Select: regexp.MustCompile(pattern)}, false, "testdata/differences.yaml")
		if text != want {
			t.Errorf("%s gives\n%s", pattern, text)
		}
	}
	report, _ := run(t, scenario.Options{Select: regexp.MustCompile("D0[12]|P01")}, false, "testdata/differences.yaml")
	if passed, failed := report.Count(); passed != 1 || failed != 2 {
		t.Errorf("%d passed, %d failed", passed, failed)
	}
}

func TestScenariosRunInParallelWithinTheBound(t *testing.T) {
	var open, most, total atomic.Int32
	both := make(chan struct{})
	o := scenario.Options{Parallel: 2, Open: func(ctx context.Context, s scenario.Setup) (scenario.System, error) {
		total.Add(1)
		if n := open.Add(1); n > most.Load() {
			most.Store(n)
			if n == 2 {
				close(both)
			}
		}
		<-both // or the test does not end
		m, err := newModel(ctx, s)
		return closing{m, func() { open.Add(-1) }}, err
	}}
	report, _ := run(t, o, false, "testdata/conformance.yaml")
	if most.Load() != 2 || total.Load() != 35 || open.Load() != 0 {
		t.Errorf("%d systems, at most %d at a time, %d left open", total.Load(), most.Load(), open.Load())
	}
	for i, result := range report.Results[1:] {
		if result.Scenario.Line < report.Results[i].Scenario.Line {
			t.Errorf("%s comes after %s", result.Scenario.ID, report.Results[i].Scenario.ID)
		}
	}
}

// closing tells when a system is closed.
type closing struct {
	scenario.System
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return c.System.Close()
}

func TestRunTakesTheTime(t *testing.T) {
	now := time.Unix(0, 0)
	o := scenario.Options{Parallel: 1, Select: regexp.MustCompile("P01"), Now: func() time.Time {
		now = now.Add(1500 * time.Millisecond)
		return now
	}}
	if _, text := run(t, o, false, "testdata/differences.yaml"); !strings.HasPrefix(text, "ok    P01  all is well  (1.50s)\n") {
		t.Error(text)
	}
}

func TestSystemsThatCannotBeMadeEndTheRun(t *testing.T) {
	broken := errors.New("no PostgreSQL")
	_, err := scenario.Run(t.Context(), []string{"testdata/differences.yaml"}, scenario.Options{
		Open: func(context.Context, scenario.Setup) (scenario.System, error) { return nil, broken },
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	_, err = scenario.Run(t.Context(), []string{"testdata/differences.yaml"}, scenario.Options{
		Select: regexp.MustCompile("P01"), Open: func(ctx context.Context, s scenario.Setup) (scenario.System, error) {
			m, err := newModel(ctx, s)
			return failingClose{m, broken}, err
		},
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "P01") {
		t.Errorf("got %v", err)
	}
}

type failingClose struct {
	scenario.System
	err error
}

func (f failingClose) Close() error { return f.err }

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := scenario.Run(ctx, []string{"testdata/conformance.yaml"}, scenario.Options{Open: func(_ context.Context, s scenario.Setup) (scenario.System, error) {
		cancel()
		return newModel(ctx, s)
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFaultsOfAllFilesComeTogether(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.yaml")
	if err := os.WriteFile(other, []byte("formta: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := scenario.Run(t.Context(), []string{other, "testdata/faults.yaml", "testdata/conformance.yaml"}, scenario.Options{Open: newModel})
	if err == nil || !strings.Contains(err.Error(), other+":1:1: ") || !strings.Contains(err.Error(), "testdata/faults.yaml:3:1: ") {
		t.Errorf("got %v", err)
	}
	_, err = scenario.Run(t.Context(), []string{filepath.Join(dir, "none.yaml")}, scenario.Options{Open: newModel})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
