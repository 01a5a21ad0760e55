// Package result is what a benchmark has found: a table for people, JSON for programs.
package result

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Report is the result of a run.
type Report struct {
	Benchmark string    `json:"benchmark"`
	About     string    `json:"about"`
	Command   string    `json:"command"`
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended"`
	Machine   Machine   `json:"machine"`
	Lines     []Line    `json:"lines"`
	Phases    []Phases  `json:"phases,omitempty"`
	Notes     []string  `json:"notes,omitempty"`
}

// Machine is where it ran. Load is the number of processes that wanted to run when it
// began and when it ended, a minute's average; 0 where nobody tells.
type Machine struct {
	System     string  `json:"system"`
	Processor  string  `json:"processor"`
	Cores      int     `json:"cores"`
	Go         string  `json:"go"`
	PostgreSQL string  `json:"postgresql"`
	Private    bool    `json:"private"`
	LoadBefore float64 `json:"load_before"`
	LoadAfter  float64 `json:"load_after"`
}

// Line is one measurement, with its baseline if it has one.
type Line struct {
	Case     string  `json:"case"`
	Measure  string  `json:"measure"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Baseline string  `json:"baseline,omitempty"` // what it is compared with
	Against  float64 `json:"against,omitempty"`  // its value, in the same unit
	// Speed is how many times as fast as the baseline it is (or, where the unit is no
	// time and no rate, how many times as much).
	Speed float64 `json:"speed,omitempty"`
}

// Phases is where the time of a case went.
type Phases struct {
	Case  string  `json:"case"`
	Per   string  `json:"per"`
	Spent []Phase `json:"spent"`
}

// Phase is a part of the time.
type Phase struct {
	Name   string  `json:"name"`
	Micros float64 `json:"micros"` // for one of Phases.Per
	Share  float64 `json:"share"`
}

// New begins a report. Its command is what a reader runs to repeat it, postgres the version of the
// server, private whether it belongs to the benchmark.
func New(name, about, command, postgres string, private bool, began time.Time) *Report {
	return &Report{
		Benchmark: name, About: about, Command: command, Began: began.UTC().Truncate(time.Second),
		Machine: Machine{
			System: runtime.GOOS + "/" + runtime.GOARCH, Processor: processor(), Cores: runtime.NumCPU(),
			Go: runtime.Version(), PostgreSQL: postgres, Private: private, LoadBefore: load(),
		},
	}
}

// Add notes a measurement, and how it compares with its baseline.
func (r *Report) Add(l Line) {
	switch {
	case l.Against == 0 || l.Value == 0:
	case strings.HasSuffix(l.Unit, "/s") || !isTime(l.Unit):
		l.Speed = l.Value / l.Against
	default:
		l.Speed = l.Against / l.Value
	}
	r.Lines = append(r.Lines, l)
}

func isTime(unit string) bool { return unit == "ms" || unit == "s" || unit == "us" }

// Note adds a remark for people.
func (r *Report) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Finish notes the end and how busy the machine was.
func (r *Report) Finish(at time.Time) {
	r.Ended, r.Machine.LoadAfter = at.UTC().Truncate(time.Second), load()
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	return json.MarshalWrite(w, r, jsontext.WithIndent("  "))
}

// Save writes the JSON to a file.
func (r *Report) Save(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.WriteJSON(f); err != nil {
		return err
	}
	return f.Close()
}

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s: %s\n%s\n%s, %s, %d cores, %s, PostgreSQL %s; load %.1f before, %.1f after; %s\n\n",
		r.Benchmark, r.About, r.Command, m.System, m.Processor, m.Cores, m.Go, m.PostgreSQL, m.LoadBefore, m.LoadAfter,
		r.Ended.Sub(r.Began))
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tmeasure\tresult\tbaseline\tresult\ttimes")
	for _, l := range r.Lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t", l.Case, l.Measure, amount(l.Value, l.Unit))
		if l.Baseline == "" {
			fmt.Fprintln(t, "\t\t")
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", l.Baseline, amount(l.Against, l.Unit), Number(l.Speed))
	}
	for _, p := range r.Phases {
		fmt.Fprintf(t, "\nwhere the time went, %s\tus/%s\tshare\n", p.Case, p.Per)
		for _, s := range p.Spent {
			fmt.Fprintf(t, "  %s\t%.1f\t%.0f %%\n", s.Name, s.Micros, 100*s.Share)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "\n%s\n", n)
	}
	return nil
}

func amount(v float64, unit string) string { return Number(v) + " " + unit }

// Number shows about three digits, with thousands apart.
func Number(v float64) string {
	switch {
	case v != 0 && v < 1:
		return fmt.Sprintf("%.3f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// processor is the name of the processor, if the system tells it in a file.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "processor unknown"
}

// load is the average of the last minute, 0 where the system does not tell it in a file.
func load() (avg float64) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	if _, err := fmt.Sscan(string(text), &avg); err != nil {
		return 0
	}
	return avg
}
