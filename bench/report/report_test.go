package main

import (
	"bytes"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/bench/result"
)

var update = flag.Bool("update", false, "write the pages from the kept results, as go run ./bench/report -render does")

// The pages say what the kept results and the texts give, and nothing else.
func TestPagesAreWhatTheResultsGive(t *testing.T) {
	t.Chdir("../..")
	r := run{}
	p := r.places()
	if *update {
		if err := write(p, t.Output()); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := load(p.results)
	if err != nil {
		t.Fatal(err)
	}
	want, err := page(kept, filepath.Dir(p.page))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(p.page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: go run ./bench/report -render mends it\n%s", p.page, diff)
	}
	if got, err = os.ReadFile(p.readme); err != nil {
		t.Fatal(err)
	}
	if want, err = readme(got, kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: go run ./bench/report -render mends it\n%s", p.readme, diff)
	}
}

// Whatever is kept under another name would be lost.
func TestEveryKeptResultIsOfABenchmark(t *testing.T) {
	files, err := filepath.Glob("../results/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(filepath.Base(f), ".json")
		if _, err := named(name); err != nil || !ok {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// Figures come from results. What the texts say in numbers is how the data is made, how
// long things are kept, and what to run.
func TestTextsHoldNoFiguresOfOurs(t *testing.T) {
	figure := regexp.MustCompile(`[0-9][0-9.,]* ?(ms|s|µs|us|MB|GB|%|times|(calls|events|rows|messages|lines)(/s| a second))\b`)
	allowed := []string{"4 %", "1 %"} // of generated calls
	for name, text := range map[string]string{"page": pageText, "readme": readmeText} {
		text = regexp.MustCompile(`(?s)\{\{.*?\}\}`).ReplaceAllString(text, "")
		for _, m := range figure.FindAllString(text+" 4 % and", -1) {
			if !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(m, a) }) {
				t.Errorf("%s.md.tmpl says %q by hand", name, m)
			}
		}
	}
	if !figure.MatchString("it took 43 s and") || !figure.MatchString("16,162 events/s.") {
		t.Error("the test finds no figures")
	}
}

// small are results of all benchmarks as they are saved today, at sizes that say nothing.
func small(t *testing.T) map[string]*saved {
	t.Helper()
	kept, err := load("testdata/small")
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) != len(benchmarks) {
		t.Fatalf("testdata/small has results of %d of %d benchmarks; make it with -run all -small -o", len(kept), len(benchmarks))
	}
	return kept
}

// With a result of every benchmark, as it is saved, every place of the texts is filled in.
func TestEveryBenchmarkHasItsPlace(t *testing.T) {
	kept := small(t)
	whole, err := page(kept, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(whole), "### ")
	for _, b := range benchmarks {
		if !strings.Contains(head, "`"+kept[b.name].Command+"`") {
			t.Errorf("the summary has no row of %s", b.name)
		}
		if !strings.Contains(string(whole), "(../bench/results/"+b.name+".json)") && b.name != "demo" {
			t.Errorf("no section tells of %s", b.name)
		}
	}
	for _, bad := range []string{"Not measured yet", "<no value>", "NaN", "Inf ", "%!"} {
		if i := strings.Index(string(whole), bad); i >= 0 {
			t.Errorf("the page says %q", whole[i:min(len(whole), i+80)])
		}
	}
	if _, err := newFigures(kept, "").fill(readmeText); err != nil {
		t.Error(err)
	}
	// Each of them may be missing, and is said to be.
	for _, b := range benchmarks {
		fewer := maps.Clone(kept)
		delete(fewer, b.name)
		text, err := page(fewer, t.TempDir())
		if err != nil {
			t.Errorf("without %s: %v", b.name, err)
		}
		if !bytes.Contains(text, []byte("Not measured yet for this page: `"+b.command+"`.")) {
			t.Errorf("without %s the page does not say so", b.name)
		}
	}
}

func TestConditionsStandBesideTheFigures(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	idle, busy := 0.1, 1.4
	kept := map[string]*saved{
		"import": {
			Report: result.Report{
				Command: "go run ./bench import", Began: at, Machine: result.Machine{System: "linux/amd64", Processor: "fast", Cores: 2, LoadBefore: 1.9, LoadAfter: 2.1},
				Lines: []result.Line{{Case: "calls", Measure: "lines", Value: 1234, Unit: "lines/s", Baseline: "COPY of its events", Against: 4936, Speed: 0.25}},
			},
			BusyBefore: &idle,
		},
		"demo": {
			Report: result.Report{
				Command: "go run ./cmd/muster demo", Began: at.AddDate(0, 0, 1), Machine: result.Machine{System: "linux/arm64", Processor: "slow", Cores: 2},
				Lines: []result.Line{{Measure: "whole demo", Value: 34.04, Unit: "s"}},
			},
			BusyBefore: &busy,
		},
		"property": {
			Report: result.Report{
				Command: "go test", Began: at, Machine: result.Machine{System: "linux/amd64", Processor: "fast", Cores: 2, LoadBefore: 1.2},
				Lines: []result.Line{{Measure: "random cases without a difference", Value: 1_000_000, Unit: "cases"}},
			},
			Transcribed: true, Remark: "in the rain",
		},
	}
	text, err := page(kept, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"* A: linux/amd64, fast, 2 cores",
		"* B: linux/arm64, slow, 2 cores",
		"The figures are from several days; each row says of which.",
		"| 1,230 lines/s | COPY of its events: 4,940 lines/s | 0.25 of it | `go run ./bench import` | 2026-03-01; machine A |",
		"| 34 s |  |  | `go run ./cmd/muster demo` | 2026-03-02; machine busy: 1.4 of 2 cores before; machine B |",
		"| 1,000,000 cases |  |  | `go test` | 2026-03-01; transcribed; in the rain; machine busy: load 1.2 before; machine A |",
		"2026-03-01 12:30 UTC; machine A; before it 0.1 of 2 cores were busy; load 1.9 before, 2.1 after.",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestReaders(t *testing.T) {
	var r result.Report
	if err := rapidSays("=== RUN\n    x_test.go:21: [rapid] OK, passed 50 tests (10.8ms)\n--- PASS", &r); err != nil || r.Lines[0].Value != 50 || r.Lines[1].Value != 0.0108 {
		t.Error(r.Lines, err)
	}
	r = result.Report{}
	demo := "hour by hour: 7832 calls, 1680 hourly slots, 37614 messages in 59.4s (28 simulated\n" +
		"compared between the database and Mixpanel, 0 differences; 0 dead letters, 0 violations of Mixpanel's rules, 0 events sent twice.\nThe whole demo took 1m3.8s.\n"
	if err := demoSays(demo, &r); err != nil || r.Lines[0].Value != 63.8 || r.Lines[1].Value != 1680 || r.Lines[2].Value != 37614 {
		t.Error(r.Lines, err)
	}
	r = result.Report{Ended: time.Date(2026, 3, 1, 12, 0, 10, 0, time.UTC)}
	err := crashes.json([]byte(`{"seed":7,"processes":2,"took":9.5,"kills":{"muster":1,"postgres":2,"both":3},"calls":82381,"verified":400,"compared":6000,"differences":["x"],"more":4}`), &r)
	if err != nil || r.Command != "go run ./bench/crash -n 6 -processes 2 -seed 7" || r.Began.Second() != 0 {
		t.Error(r, err)
	}
	s := saved{Report: r}
	if l := s.find("", "lost, told twice, wrong", ""); len(l) != 1 || l[0].Value != 5 {
		t.Error(l)
	}
	for name, err := range map[string]error{
		"no test ran":        rapidSays("ok muster/app 0.1s [no tests to run]", &r),
		"a demo that failed": demoSays(strings.Replace(demo, "0 differences", "3 differences", 1), &r),
		"no kill":            crashes.json([]byte(`{"seed":7}`), &r),
		"one broken off":     crashes.json([]byte(`{"seed":7,"took":0,"kills":{"muster":484},"verified":0,"compared":0,"differences":[]}`), &r),
		"nothing verified":   crashes.json([]byte(`{"seed":7,"took":9,"kills":{"muster":4},"verified":0,"compared":7,"differences":[]}`), &r),
		"no line":            saves.json([]byte(`{"benchmark":"hourly"}`), &r),
		"no JSON":            saves.json([]byte(`hourly`), &r),
	} {
		if err == nil {
			t.Errorf("%s passes for a result", name)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.07: "0.07", 0.2414: "0.241", 2.5: "2.5", 33: "33", 61.62: "61.6", 99.96: "100", 518.4: "518",
		33446: "33,400", 999.6: "1,000", 1_234_567: "1,230,000", -1500: "-1,500",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
	for want, l := range map[string]result.Line{
		"3.5 s":            {Value: 3504, Unit: "ms"},
		"166 ms":           {Value: 166.3, Unit: "ms"},
		"31,579 changes":   {Value: 31579, Unit: "changes"},
		"18.7 µs/call":     {Value: 18.71, Unit: "us/call"},
		"0.16 % of a core": {Value: 0.16, Unit: "% of a core"},
	} {
		if got := value(l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, l := range map[string]result.Line{
		"61.6 times as fast": {Unit: "ms", Baseline: "x", Speed: 61.6},
		"4 times as long":    {Unit: "s", Baseline: "x", Speed: 0.25},
		"0.24 of it":         {Unit: "calls/s", Baseline: "x", Speed: 0.24},
		"1.5 times as much":  {Unit: "B/event", Baseline: "x", Speed: 1.5},
		"":                   {Unit: "B/event"},
	} {
		if got := times(l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, bad := range [][]string{
		{"-small"}, {"-run", "hourly,hurly"}, {"-render", "-run", "hourly"}, {"-take", "hourly"}, {"-take", "hurly=x.json"}, {"-take", "soak=x", "-render"}, {"hourly"},
	} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, c := range []struct {
		args []string
		want func(benchmark) bool
	}{
		{nil, func(b benchmark) bool { return !b.long }},
		{[]string{"-run", "all"}, func(benchmark) bool { return true }},
		{[]string{"-run", "hourly-20m, crash"}, func(b benchmark) bool { return b.name == "hourly-20m" || b.name == "crash" }},
		{[]string{"-render"}, func(benchmark) bool { return false }},
	} {
		r, err := parse(c.args, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		chosen, err := r.chosen()
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, b := range chosen {
			got = append(got, b.name)
		}
		for _, b := range benchmarks {
			if c.want(b) {
				want = append(want, b.name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", c.args, diff)
		}
	}
	minutes := 0
	for _, b := range benchmarks {
		if !b.long {
			minutes += b.minutes
		}
	}
	if minutes > 45 {
		t.Errorf("what runs by default takes %d minutes", minutes)
	}
}

// A run keeps what its command has found, with its conditions; a failing one keeps what was there.
func TestRunAndTake(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a benchmark")
	}
	t.Chdir("../..")
	dir := t.TempDir()
	r, err := parse([]string{"-run", "property-folds,mapper", "-small", "-o", dir}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.do(t.Context(), io.Discard, t.Output()); err != nil {
		t.Fatal(err)
	}
	kept, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, measure := range map[string]string{"property-folds": "random cases without a difference", "mapper": "mapped"} {
		s, b := kept[name], must(t, name)
		if s == nil || len(s.find("", measure, "")) == 0 || s.Command != b.small || s.Machine.Cores == 0 || s.Ended.Before(s.Began) || s.Began.IsZero() {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "benchmarks.md")); err != nil {
		t.Error(err)
	}

	broken := []benchmark{{name: "mapper", command: "go run ./bench hurly", read: saves}}
	if err := measure(t.Context(), broken, r.places(), false, io.Discard, t.Output()); err == nil {
		t.Error("a command that fails has a result")
	}
	again, err := load(dir)
	if err != nil || again["mapper"] == nil {
		t.Errorf("the result that was kept is gone: %v", err)
	}

	from := filepath.Join(t.TempDir(), "by hand.json")
	report := result.New("idle", "", "go run ./bench idle -for 1s -save by-hand.json", "15.1", true, time.Now())
	report.Add(result.Line{Case: "nothing", Measure: "processor time, Go", Value: 1, Unit: "% of a core"})
	report.Add(result.Line{Case: "nothing", Measure: "processor time, PostgreSQL", Value: 1, Unit: "% of a core"})
	if err := report.Save(from); err != nil {
		t.Fatal(err)
	}
	if r, err = parse([]string{"-o", dir, "-take", "idle=" + from}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := r.do(t.Context(), io.Discard, t.Output()); err != nil {
		t.Fatal(err)
	}
	if kept, err = load(dir); err != nil || kept["idle"] == nil || kept["idle"].Command != "go run ./bench idle -for 1s" {
		t.Errorf("%+v, %v", kept["idle"], err)
	}
}

func must(t *testing.T, name string) benchmark {
	t.Helper()
	b, err := named(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
