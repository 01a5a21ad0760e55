package scenario

import (
	"context"
	"errors"
	"regexp"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/engine"
)

// Options say how scenarios are run.
type Options struct {
	Open     Factory
	Select   *regexp.Regexp // matches the id or the name of what is to be run; nil: all
	Parallel int            // scenarios at a time; 0: two for each CPU that Go may use
	// Now, if set, is used to measure how long each scenario takes.
	Now func() time.Time
}

// Report is what became of scenarios, in the order of the files.
type Report struct {
	Results []Result
}

// Result is what became of a scenario.
type Result struct {
	Scenario *Scenario
	Steps    []StepResult // those that were played
	Err      error        // why the rest could not be played; nil if nothing went wrong
	Took     time.Duration
}

// StepResult is what became of a step.
type StepResult struct {
	Step        *Step
	Number      int // from 1
	Refused     []*engine.DefinitionError
	Sent        []Delivery // in the settle of the step, and in the ticks before it
	Differences []Difference
}

// Failed tells whether something was not as expected.
func (r Result) Failed() bool {
	return r.Err != nil || slices.ContainsFunc(r.Steps, func(s StepResult) bool { return len(s.Differences) > 0 })
}

// Count is how many scenarios passed, and how many failed.
func (r Report) Count() (passed, failed int) {
	for _, result := range r.Results {
		if result.Failed() {
			failed++
		} else {
			passed++
		}
	}
	return passed, failed
}

// Run plays the scenarios of the files, many at a time, each on a system of its own.
// The error is for files that cannot be read, then as [Faults] of all files, or
// systems that cannot be made; what differs is in the report.
func Run(ctx context.Context, files []string, o Options) (Report, error) {
	scenarios, err := loadAll(files)
	if err != nil {
		return Report{}, err
	}
	if o.Select != nil {
		scenarios = slices.DeleteFunc(scenarios, func(s *Scenario) bool {
			return !o.Select.MatchString(s.ID) && !o.Select.MatchString(s.Name)
		})
	}
	if o.Parallel <= 0 {
		o.Parallel = 2 * runtime.GOMAXPROCS(0)
	}
	report := Report{Results: make([]Result, len(scenarios))}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(o.Parallel)
	for i, s := range scenarios {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var began time.Time
			if o.Now != nil {
				began = o.Now()
			}
			result, err := s.run(ctx, o.Open)
			if o.Now != nil {
				result.Took = o.Now().Sub(began)
			}
			report.Results[i] = result
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Report{}, err
	}
	return report, nil
}

// loadAll reads the files and reports the faults of all of them at once.
func loadAll(files []string) ([]*Scenario, error) {
	var scenarios []*Scenario
	var faults Faults
	for _, path := range files {
		f, err := Load(path)
		if some := Faults(nil); errors.As(err, &some) {
			faults = append(faults, some...)
		} else if err != nil {
			return nil, err
		} else {
			scenarios = append(scenarios, f.Scenarios...)
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return scenarios, nil
}
