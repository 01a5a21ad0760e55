package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"muster/identity"
)

// Load reads a file and checks that the files of calls that it names are there.
// Faults of the text are returned all at once, as [Faults].
func Load(path string) (*File, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the scenarios: %w", err)
	}
	return parse(path, src, func(name string) error {
		f, err := os.Open(beside(path, name))
		if err != nil {
			return err
		}
		return f.Close()
	})
}

// beside is the path of a file that is named in the file of scenarios at path.
func beside(path, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(path), filepath.FromSlash(name))
}

// Parse reads the text of a file; path is for messages, and where files of calls lie.
// Faults are returned all at once, as [Faults].
func Parse(path string, src []byte) (*File, error) {
	return parse(path, src, func(string) error { return nil })
}

func parse(path string, src []byte, open func(name string) error) (*File, error) {
	p := &fileParser{reader: reader{file: path}, open: open, ids: map[string]bool{}}
	if !utf8.Valid(src) {
		p.add(1, 1, "", "the file is not text in UTF-8")
		return nil, p.faults
	}
	f := &File{Path: path}
	if root := p.parseYAML(src); root != nil {
		p.readFile(f, root)
	}
	if len(p.faults) > 0 {
		slices.SortStableFunc(p.faults, func(a, b *Fault) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, p.faults
	}
	return f, nil
}

// fileParser reads the scenarios of a file.
type fileParser struct {
	reader
	open func(name string) error // a file of calls, to see whether it is there
	t0   time.Time               // of scenarios without their own
	ids  map[string]bool         // of scenarios
}

func (p *fileParser) readFile(f *File, root ast.Node) {
	var format string
	var scenarios ast.Node
	p.fields(root, "a file of scenarios", map[string]func(ast.Node){
		"format":    p.set(&format, "the format"),
		"t0":        func(n ast.Node) { p.t0 = p.instant(n) },
		"rules":     p.readRules,
		"scenarios": func(n ast.Node) { scenarios = n },
	})
	if format != Format {
		p.faultf(root, "begin the file with the line `format: "+Format+"`", "the format is %q, not %s", format, Format)
	}
	list := p.list(scenarios, "scenarios")
	for _, n := range list {
		if s := p.readScenario(n); s != nil {
			f.Scenarios = append(f.Scenarios, s)
		}
	}
}

// readRules checks the remarks that a file can make on what its cases lean on.
func (p *fileParser) readRules(n ast.Node) {
	members, _ := p.members(n, "rules")
	for _, m := range members {
		var text string
		p.fields(m.value, "a rule", map[string]func(ast.Node){
			"status": p.set(&text, "status"), "text": p.set(&text, "text"),
		})
	}
}

func (p *fileParser) readScenario(n ast.Node) *Scenario {
	line, _ := place(n)
	s := &Scenario{File: p.file, Line: line, T0: p.t0}
	var definitions, steps ast.Node
	p.fields(n, "a scenario", map[string]func(ast.Node){
		"id":          p.set(&s.ID, "the id"),
		"name":        p.set(&s.Name, "the name"),
		"status":      p.set(&s.Status, "the status"),
		"note":        p.set(&s.Note, "the note"),
		"rule":        func(n ast.Node) { s.Rules = p.words(n, "a rule") },
		"optional":    func(n ast.Node) { s.Optional = p.words(n, "optional") },
		"t0":          func(n ast.Node) { s.T0 = p.instant(n) },
		"tick":        func(n ast.Node) { s.Tick = p.tick(n) },
		"identity":    func(n ast.Node) { s.Identity = p.identity(n) },
		"definitions": func(n ast.Node) { definitions = n },
		"steps":       func(n ast.Node) { steps = n },
	})
	switch {
	case s.ID == "":
		p.faultf(n, "give it an id, such as `id: A01`", "the scenario has no id")
	case p.ids[s.ID]:
		p.faultf(n, "", "there is a scenario %s already", s.ID)
	}
	p.ids[s.ID] = true
	if s.T0.IsZero() {
		p.faultf(n, "say it once at the top of the file, or in the scenario: t0: \"2026-02-02T00:00:00Z\"", "nothing says what +0d is: there is no t0")
		return nil
	}
	sp := &scenarioParser{fileParser: p, scenario: s, roster: roster{ever: map[string]definition{}}}
	s.Definitions = sp.definitions(definitions)
	list := p.list(steps, "steps")
	if len(list) == 0 {
		p.faultf(n, "", "the scenario has no steps")
	}
	for _, n := range list {
		sp.readStep(n)
	}
	return s
}

// instant reads an absolute time.
func (p *fileParser) instant(n ast.Node) time.Time {
	text, ok := p.text(n, "t0")
	if !ok {
		return time.Time{}
	}
	for _, layout := range [...]string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return t.UTC()
		}
	}
	p.faultf(n, "write it like \"2026-02-02T00:00:00Z\"", "%q is not an instant since 1970", text)
	return time.Time{}
}

// tick reads the distance of ticks.
func (p *fileParser) tick(n ast.Node) time.Duration {
	text, ok := p.text(n, "tick")
	if !ok {
		return 0
	}
	o, err := ParseOffset(text)
	if err != nil || time.Duration(o) < time.Minute {
		p.faultf(n, "write it like 1h, at least 1m", "%q is not a tick", text)
		return 0
	}
	return time.Duration(o)
}

// identity reads rules of identity resolution, in the form that the configuration has.
func (p *fileParser) identity(n ast.Node) identity.Settings {
	var s identity.Settings
	node := p.plain(n)
	if node == nil {
		return s
	}
	err := yaml.NodeToValue(node, &s, yaml.DisallowUnknownField())
	if bad := yaml.Error(nil); errors.As(err, &bad) && bad.GetToken() != nil {
		at := bad.GetToken().Position
		p.add(at.Line, at.Column, "", "identity: %s", firstLine(bad.GetMessage()))
		return s
	} else if err != nil {
		p.faultf(n, "", "identity: %s", firstLine(err.Error()))
		return s
	}
	if err := s.Validate(); err != nil {
		for _, e := range unjoined(err) {
			p.faultf(n, "", "identity: %v", e)
		}
	}
	return s
}

func unjoined(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
