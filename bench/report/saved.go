package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/bench/result"
)

// saved is a result that is kept.
type saved struct {
	result.Report
	Commit string `json:"commit,omitzero"`       // of the code that was measured
	Memory uint64 `json:"memory_bytes,omitzero"` // of the machine; 0 where it does not tell
	// Busy is how many cores did something else just before and after; nil where nobody tells.
	// The load average of the minute before would count the benchmark that ran before this one.
	BusyBefore *float64 `json:"busy_before,omitempty"`
	BusyAfter  *float64 `json:"busy_after,omitempty"`
	// Transcribed results were copied from a page that somebody wrote by hand: only the day of
	// the measurement is known.
	Transcribed bool   `json:"transcribed,omitzero"`
	Remark      string `json:"remark,omitzero"` // what a reader has to know beside the figure
}

// busyShare is the part of the cores above which the machine counts as busy with other things.
const busyShare = 0.5

// busy tells what else the machine did before, if that is too much for a figure to be trusted.
func (s *saved) busy() string {
	limit := busyShare * float64(s.Machine.Cores)
	switch {
	case s.BusyBefore != nil && *s.BusyBefore > limit:
		return fmt.Sprintf("machine busy: %s of %d cores before", number(*s.BusyBefore), s.Machine.Cores)
	case s.BusyBefore == nil && s.Machine.LoadBefore > limit:
		return fmt.Sprintf("machine busy: load %s before", number(s.Machine.LoadBefore))
	}
	return ""
}

// day of the measurement.
func (s *saved) day() string { return s.Began.Format("2006-01-02") }

// host tells machines apart.
func (s *saved) host() string {
	return fmt.Sprintf("%s, %s, %d cores", s.Machine.System, s.Machine.Processor, s.Machine.Cores)
}

// find returns the lines of a measure, or of all if it is empty, whose case contains one text and whose baseline begins with another.
func (s *saved) find(in, measure, baseline string) (found []result.Line) {
	for _, l := range s.Lines {
		if strings.Contains(l.Case, in) && (measure == "" || l.Measure == measure) && strings.HasPrefix(l.Baseline, baseline) {
			found = append(found, l)
		}
	}
	return found
}

func file(folder, name string) string { return filepath.Join(folder, name+".json") }

// keep writes a result to its file.
func (s *saved) keep(folder, name string) error {
	text, err := json.Marshal(s, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return os.WriteFile(file(folder, name), append(text, '\n'), 0o644) //nolint:gosec // part of the project
}

// load reads the kept results, by the name of their benchmark.
func load(folder string) (map[string]*saved, error) {
	all := make(map[string]*saved)
	for _, b := range benchmarks {
		text, err := os.ReadFile(file(folder, b.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		var s saved
		if err := json.Unmarshal(text, &s, json.RejectUnknownMembers(true)); err != nil {
			return nil, fmt.Errorf("%s: %w", file(folder, b.name), err)
		}
		if s.Command == "" || s.Began.IsZero() || len(s.Lines) == 0 {
			return nil, fmt.Errorf("%s: a result has a command, an instant at which it began, and lines", file(folder, b.name))
		}
		all[b.name] = &s
	}
	return all, nil
}
