package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"muster/bench/result"
)

// The texts of the pages. They hold no figure of ours: all of them come from the kept results.
//
//go:embed page.md.tmpl
var pageText string

//go:embed published.md.tmpl
var publishedText string

//go:embed readme.md.tmpl
var readmeText string

// figures are what the texts are filled in with.
type figures struct {
	kept   map[string]*saved
	folder string // of the page
	hosts  []string
}

func newFigures(kept map[string]*saved, folder string) *figures {
	f := &figures{kept: kept, folder: folder}
	for _, b := range benchmarks {
		if s := kept[b.name]; s != nil && !slices.Contains(f.hosts, s.host()) {
			f.hosts = append(f.hosts, s.host())
		}
	}
	return f
}

// page is docs/benchmarks.md, or another in a folder.
func page(kept map[string]*saved, folder string) ([]byte, error) {
	return newFigures(kept, folder).fill(pageText + publishedText)
}

// The marks between which the README has its figures.
const (
	readmeBegin = "<!-- figures: go run ./bench/report writes what follows -->\n"
	readmeEnd   = "<!-- end of the figures -->\n"
)

// readme is the README with its figures as they are kept.
func readme(old []byte, kept map[string]*saved) ([]byte, error) {
	before, rest, ok := bytes.Cut(old, []byte(readmeBegin))
	_, after, ends := bytes.Cut(rest, []byte(readmeEnd))
	if !ok || !ends {
		return nil, fmt.Errorf("the README has no place for the figures: it is between %q and %q", readmeBegin, readmeEnd)
	}
	text, err := newFigures(kept, "").fill(readmeText)
	if err != nil {
		return nil, err
	}
	return slices.Concat(before, []byte(readmeBegin), text, []byte(readmeEnd), after), nil
}

func (f *figures) fill(text string) ([]byte, error) {
	t, err := template.New("page").Option("missingkey=error").Funcs(template.FuncMap{
		"has": f.has, "line": f.line, "lines": f.lines, "row": f.row, "rows": f.rows, "cell": f.cell, "list": func(names ...string) []string { return names },
		"stamp": f.stamp, "command": f.command, "mark": f.mark, "spent": f.spent, "heap": f.heap, "machines": f.machines, "days": f.days, "missing": f.missing, "graph": f.graph, "notes": f.notes,
		"value": value, "each": each, "against": against, "times": times, "baseline": baseline, "number": number, "exact": exact,
		"sum": func(a, b float64) float64 { return a + b }, "div": func(a, b float64) float64 { return a / b },
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, nil); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// has tells whether all of these results are kept.
func (f *figures) has(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return f.kept[n] == nil })
}

func (f *figures) get(name string) (*saved, error) {
	if s := f.kept[name]; s != nil {
		return s, nil
	}
	if _, err := named(name); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("no result of %s is kept", name)
}

// line is the one line of a result with this measure, whose case contains a text and whose
// baseline begins with another.
func (f *figures) line(name, in, measure, baseline string) (result.Line, error) {
	found, err := f.lines(name, in, measure, baseline)
	if err != nil {
		return result.Line{}, err
	}
	if len(found) != 1 {
		return result.Line{}, fmt.Errorf("%s has %d lines %q of a case with %q against %q, want one", name, len(found), measure, in, baseline)
	}
	return found[0], nil
}

// lines are all of them.
func (f *figures) lines(name, in, measure, baseline string) ([]result.Line, error) {
	s, err := f.get(name)
	if err != nil {
		return nil, err
	}
	return s.find(in, measure, baseline), nil
}

// cell is the value of a measure for a table in which others stand beside it, and may have what this lacks.
func (f *figures) cell(name, measure string) string {
	s := f.kept[name]
	if s == nil {
		return ""
	}
	if found := s.find("", measure, ""); len(found) > 0 {
		if l := found[0]; counted(l.Unit) {
			return exact(l.Value)
		}
		return value(found[0])
	}
	return ""
}

// row is a row of the summary: nothing, if there is no such result.
func (f *figures) row(what, name, in, measure, baseline string) (string, error) {
	if !f.has(name) {
		return "", nil
	}
	l, err := f.line(name, in, measure, baseline)
	if err != nil {
		return "", err
	}
	return f.summary(what, name, l), nil
}

// rows is a row for each case; %s in what they say is the case.
func (f *figures) rows(what, name, in, measure, baseline string) (string, error) {
	if !f.has(name) {
		return "", nil
	}
	found, err := f.lines(name, in, measure, baseline)
	if err != nil {
		return "", err
	}
	if len(found) == 0 && !f.kept[name].Transcribed { // the page that was transcribed did not have all
		return "", fmt.Errorf("%s has no lines %q", name, measure)
	}
	var text strings.Builder
	for _, l := range found {
		text.WriteString(f.summary(strings.ReplaceAll(what, "%s", l.Case), name, l))
	}
	return text.String(), nil
}

func (f *figures) summary(what, name string, l result.Line) string {
	s := f.kept[name]
	return fmt.Sprintf("| %s | %s | %s | %s | `%s` | %s |\n", what, value(l), baseline(l), times(l), s.Command, strings.Join(append([]string{s.day()}, f.marks(s)...), "; "))
}

// marks are what a reader has to know beside a figure.
func (f *figures) marks(s *saved) (marks []string) {
	if s.Transcribed {
		marks = append(marks, "transcribed")
	}
	for _, m := range []string{s.Remark, s.busy()} {
		if m != "" {
			marks = append(marks, m)
		}
	}
	if len(f.hosts) > 1 {
		marks = append(marks, "machine "+f.letter(s))
	}
	return marks
}

// mark is what a reader has to know, in brackets, where the date stands elsewhere if it is the same for all.
func (f *figures) mark(name string) (string, error) {
	s, err := f.get(name)
	if err != nil {
		return "", err
	}
	marks := []string{s.Remark, s.busy()}
	if len(f.days()) > 1 {
		marks = append(marks, s.day())
	}
	if len(f.hosts) > 1 {
		marks = append(marks, "machine "+f.letter(s))
	}
	if marks = slices.DeleteFunc(marks, func(m string) bool { return m == "" }); len(marks) == 0 {
		return "", nil
	}
	return " (" + strings.Join(marks, "; ") + ")", nil
}

// notes are what the benchmark says of itself.
func (f *figures) notes(name string) ([]string, error) {
	s, err := f.get(name)
	if err != nil {
		return nil, err
	}
	return s.Notes, nil
}

func (f *figures) letter(s *saved) string {
	return string(rune('A' + slices.Index(f.hosts, s.host())))
}

func (f *figures) command(name string) (string, error) {
	s, err := f.get(name)
	if err != nil {
		return "", err
	}
	return s.Command, nil
}

// stamp tells the commands of results and when, where and how they were measured.
func (f *figures) stamp(names ...string) (string, error) {
	var commands, notes strings.Builder
	for _, name := range names {
		s := f.kept[name]
		if s == nil {
			continue
		}
		fmt.Fprintf(&commands, "%s\n", s.Command)
		when := s.Began.Format("2006-01-02 15:04") + " UTC"
		if s.Transcribed {
			when = s.day()
		}
		facts := append([]string{when}, f.marks(s)...)
		if s.BusyBefore != nil && s.busy() == "" {
			facts = append(facts, fmt.Sprintf("before it %s of %d cores were busy", number(hundredths(*s.BusyBefore)), s.Machine.Cores))
		}
		if s.Machine.LoadAfter > 0 {
			facts = append(facts, fmt.Sprintf("load %s before, %s after", number(hundredths(s.Machine.LoadBefore)), number(hundredths(s.Machine.LoadAfter))))
		}
		if s.Commit != "" {
			facts = append(facts, "commit "+s.Commit)
		}
		fmt.Fprintf(&notes, "* [%s](../bench/results/%s.json): %s.\n", name, name, strings.Join(facts, "; "))
	}
	if commands.Len() == 0 {
		return "", errors.New("none of these results is kept: " + strings.Join(names, ", "))
	}
	return "```text\n" + commands.String() + "```\n\n" + notes.String(), nil
}

// hundredths cuts to two decimals, which is what a load is good for.
func hundredths(v float64) float64 { return float64(int(v*100)) / 100 }

// spent tells what most of the time of a case went into, if the result knows.
func (f *figures) spent(name, in string, parts int) (string, error) {
	s, err := f.get(name)
	if err != nil {
		return "", err
	}
	for _, p := range s.Phases {
		if !strings.Contains(p.Case, in) || len(p.Spent) == 0 {
			continue
		}
		all := slices.SortedStableFunc(slices.Values(p.Spent), func(a, b result.Phase) int {
			switch {
			case a.Share > b.Share:
				return -1
			case a.Share < b.Share:
				return 1
			}
			return 0
		})
		var most []string
		for _, part := range all[:min(parts, len(all))] {
			most = append(most, fmt.Sprintf("%s %.0f %%", shortened(part.Name), 100*part.Share))
		}
		return strings.Join(most, ", "), nil
	}
	return "", nil
}

// shortened is the name of statements that are sent together, without most of them.
func shortened(name string) string {
	const shown = 3
	if parts := strings.Split(name, ", "); len(parts) > shown {
		return strings.Join(parts[:shown], ", ") + " and others"
	}
	return name
}

// heap is what something takes without its indexes, which is said in the line below it.
func (f *figures) heap(name, measure string) (string, error) {
	s, err := f.get(name)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(s.Lines, func(l result.Line) bool { return l.Measure == measure })
	if i < 0 || i+1 >= len(s.Lines) || strings.TrimSpace(s.Lines[i+1].Measure) != "without indexes" {
		return "", fmt.Errorf("%s does not say what %q takes without indexes", name, measure)
	}
	return each(s.Lines[i+1]), nil
}

// machines are those of the results, with the versions that ran on each.
func (f *figures) machines() []string {
	var all []string
	for _, host := range f.hosts {
		golang, postgres := make(map[string]bool), make(map[string]bool)
		memory := uint64(0)
		letter := ""
		for _, s := range f.kept {
			if s.host() != host {
				continue
			}
			golang[strings.TrimPrefix(s.Machine.Go, "go")] = true
			if s.Machine.PostgreSQL != "" {
				version, _, _ := strings.Cut(s.Machine.PostgreSQL, " ")
				postgres[version] = true
			}
			memory = max(memory, s.Memory)
			letter = f.letter(s)
		}
		text := host
		if memory > 0 {
			text += fmt.Sprintf(", %.1f GB", float64(memory)/1e9)
		}
		text += "; Go " + strings.Join(slices.Sorted(maps.Keys(golang)), ", ") + "; PostgreSQL " + strings.Join(slices.Sorted(maps.Keys(postgres)), ", ")
		if len(f.hosts) > 1 {
			text = letter + ": " + text
		}
		all = append(all, text)
	}
	return all
}

// days on which something was measured.
func (f *figures) days() []string {
	days := make(map[string]bool)
	for _, s := range f.kept {
		days[s.day()] = true
	}
	return slices.Sorted(maps.Keys(days))
}

// missing are the benchmarks of which no result is kept.
func (f *figures) missing() (all []string) {
	for _, b := range benchmarks {
		if f.kept[b.name] == nil {
			all = append(all, b.command)
		}
	}
	return all
}

// graph is the picture of the soak, if it is there.
func (f *figures) graph() string {
	name := filepath.Base(graph)
	if _, err := os.Stat(filepath.Join(f.folder, name)); err != nil {
		return ""
	}
	return name
}
