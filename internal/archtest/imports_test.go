package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// listed is what go list tells about a package.
type listed struct {
	ImportPath string
	Dir        string
	Standard   bool
	Imports    []string
	Module     *struct{ Path, Version, Dir string }
}

// goList asks the go command, in the module's root.
func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json=ImportPath,Dir,Standard,Imports,Module"}, args...)...)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	var packages []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatal("go list found no packages")
	}
	return packages
}

// local returns a package's path without the module's, false if it is not ours.
func local(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, module+"/")
}

// matches tells whether a package is meant by a pattern.
func matches(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == below || strings.HasPrefix(pkg, below+"/")
	}
	return pkg == pattern
}

func anyMatches(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, pkg) })
}

// row returns the number of a package's row, -1 if it has none.
func row(pkg string) int {
	return slices.IndexFunc(rows, func(row []string) bool { return anyMatches(row, pkg) })
}

// faults judges the imports of our packages.
func faults(imports map[edge]bool, packages []string) []string {
	var all []string
	for _, pkg := range packages {
		if _, helper := helpers[pkg]; row(pkg) < 0 && !helper {
			all = append(all, pkg+" is in no row: say in rules.go where it belongs")
		}
	}
	for e := range imports {
		users, helper := helpers[e.to]
		_, fromHelper := helpers[e.from]
		from, to := row(e.from), row(e.to)
		switch {
		case helper && !anyMatches(users, e.from):
			all = append(all, fmt.Sprintf("%s imports %s, which is for tests and %v only", e.from, e.to, users))
		case helper || fromHelper || from < 0 || to < 0:
		case from == to && neighbours[e] == "":
			all = append(all, fmt.Sprintf("%s imports its neighbour %s: declare an interface in the user instead", e.from, e.to))
		case from < to:
			all = append(all, fmt.Sprintf("%s imports %s, which is above it", e.from, e.to))
		}
	}
	for e := range neighbours {
		if slices.Contains(packages, e.from) && !imports[e] {
			all = append(all, fmt.Sprintf("%s does not import %s any more: take it out of neighbours", e.from, e.to))
		}
	}
	slices.Sort(all)
	return all
}

func TestImportsPointOneWay(t *testing.T) {
	imports := map[edge]bool{}
	var packages []string
	for _, p := range goList(t, "./...") {
		from, ok := local(p.ImportPath)
		if !ok {
			continue
		}
		packages = append(packages, from)
		for _, path := range p.Imports {
			if to, ok := local(path); ok {
				imports[edge{from, to}] = true
			}
		}
	}
	for _, f := range faults(imports, packages) {
		t.Error(f)
	}
}

// The rules notice what they are there for.
func TestRulesHaveTeeth(t *testing.T) {
	for _, c := range []struct {
		e     edge
		fault string
	}{
		{edge{"engine", "store"}, "engine imports store, which is above it"},
		{edge{"event", "query"}, "event imports query, which is above it"},
		{edge{"web", "store"}, "web imports its neighbour store: declare an interface in the user instead"},
		{edge{"query", "identity"}, "query imports its neighbour identity: declare an interface in the user instead"},
		{edge{"store", "internal/pgtest"}, "store imports internal/pgtest, which is for tests and [scenario bench cmd/... tests/...] only"},
		{edge{"cmd/muster", "store"}, ""},
		{edge{"cmd/muster", "mixpanel/mixpaneltest"}, ""},
		{edge{"store", "deliver"}, ""},
		{edge{"engine", "query"}, ""},
	} {
		got := strings.Join(faults(map[edge]bool{c.e: true}, nil), "; ")
		if got != c.fault {
			t.Errorf("%v: %q, want %q", c.e, got, c.fault)
		}
	}
	if got := faults(nil, []string{"utils"}); len(got) != 1 || !strings.Contains(got[0], "utils is in no row") {
		t.Errorf("unknown package: %q", got)
	}
}

func TestPurePackagesDoNotAct(t *testing.T) {
	for pkg, modules := range pure {
		for _, p := range goList(t, "./"+pkg) {
			for _, path := range p.Imports {
				first, _, _ := strings.Cut(path, "/")
				switch _, ours := local(path); {
				case ours: // the rows judge it
				case strings.Contains(first, "."): // a module from elsewhere
					if !slices.ContainsFunc(modules, func(m string) bool { return matches(m+"/...", path) }) {
						t.Errorf("%s imports %s; besides the standard library it may have %v", pkg, path, modules)
					}
				case slices.Contains(acting, path):
					t.Errorf("%s imports %s, but it decides and does not act", pkg, path)
				}
			}
		}
	}
}
