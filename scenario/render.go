package scenario

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxShown is how many differences of one subject are shown.
const maxShown = 20

// Write writes the report for people: a line for each scenario, below it what differs
// and, if verbose, what was sent at each step; at last "N passed, M failed".
func (r Report) Write(w io.Writer, verbose bool) error {
	b := bufio.NewWriter(w)
	for _, result := range r.Results {
		result.write(b, verbose)
	}
	if len(r.Results) == 0 {
		fmt.Fprintln(b, "no scenario was selected")
	}
	passed, failed := r.Count()
	fmt.Fprintf(b, "%d passed, %d failed\n", passed, failed)
	return b.Flush()
}

func (r Result) write(w *bufio.Writer, verbose bool) {
	word := "ok  "
	if r.Failed() {
		word = "FAIL"
	}
	fmt.Fprintf(w, "%s  %s  %s", word, r.Scenario.ID, r.Scenario.Name)
	if r.Took > 0 {
		fmt.Fprintf(w, "  (%.2fs)", r.Took.Round(10*time.Millisecond).Seconds())
	}
	fmt.Fprintln(w)
	for _, s := range r.Steps {
		if verbose || len(s.Differences) > 0 {
			fmt.Fprintf(w, "      %s:%d: step %d at %s, %s\n", r.Scenario.File, s.Step.Line, s.Number, s.Step.Offset, s.Step.At.Format(time.RFC3339))
		}
		if verbose {
			s.writeSent(w)
		}
		writeDifferences(w, s.Differences)
	}
	if r.Err != nil {
		fmt.Fprintf(w, "      %s\n", indented(r.Err.Error(), 8))
	}
	if played := len(r.Steps); r.Failed() && played < len(r.Scenario.Steps) {
		fmt.Fprintf(w, "      %d of %d steps were played to their end\n", played, len(r.Scenario.Steps))
	}
}

// writeSent writes what happened to definitions and what was sent.
func (s StepResult) writeSent(w *bufio.Writer) {
	for _, bad := range s.Refused {
		fmt.Fprintf(w, "        refused %s\n", indented(bad.Error(), 10))
	}
	switch {
	case !s.Step.Compute && len(s.Sent) == 0:
		return
	case len(s.Sent) == 0:
		fmt.Fprintln(w, "        nothing was sent")
	}
	for _, d := range s.Sent {
		fmt.Fprintf(w, "        sent %s = %s to %s, by %s (%s)\n", d.Key, d.Value, refText(d.To()), d.Form, d.why())
	}
}

func writeDifferences(w *bufio.Writer, all []Difference) {
	shown := map[string]int{}
	for i, d := range all {
		begins := i == 0 || all[i-1].Subject != d.Subject
		ends := i == len(all)-1 || all[i+1].Subject != d.Subject
		if shown[d.Subject]++; shown[d.Subject] <= maxShown {
			d.write(w, begins)
		} else if ends {
			fmt.Fprintf(w, "          and %d more\n", shown[d.Subject]-maxShown)
		}
	}
}

func (d Difference) write(w *bufio.Writer, begins bool) {
	lead := "        " + d.Subject + ": "
	if d.Of != "" {
		if begins {
			fmt.Fprintf(w, "        %s\n", d.Subject)
		}
		lead = "          " + d.Of + ": "
	}
	fmt.Fprintf(w, "%sexpected %s, got %s", lead, d.Want, d.Got)
	switch {
	case strings.Contains(d.Why, "\n"):
		fmt.Fprintf(w, "\n            %s", indented(d.Why, 12))
	case d.Why != "":
		fmt.Fprintf(w, " (%s)", d.Why)
	}
	fmt.Fprintln(w)
}

// indented sets the lines behind the first under it.
func indented(text string, by int) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", by))
}
