package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readsClock are the functions of package time that look at the clock.
var readsClock = []string{"Now", "Since", "Until"}

// clockReads returns the positions in a file where the clock is read.
func clockReads(file *ast.File) []token.Pos {
	name := ""
	for _, i := range file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err != nil || p != "time" {
			continue
		}
		name = "time"
		if i.Name != nil {
			name = i.Name.Name
		}
	}
	var found []token.Pos
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && name != "" && x.Name == name && slices.Contains(readsClock, n.Sel.Name) {
				found = append(found, n.Pos())
			}
		case *ast.ImportSpec:
			if n.Path.Value == `"time"` && name == "." {
				found = append(found, n.Pos()) // hides the reads from this test
			}
		}
		return true
	})
	return found
}

func TestOnlyTheEdgesReadTheClock(t *testing.T) {
	root, files := "../..", 0
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "tools") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || anyMatches(clocks, path.Dir(filepath.ToSlash(rel))) {
			return nil
		}
		files++
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, pos := range clockReads(file) {
			t.Errorf("%s reads the clock; take the time as a parameter, or a function that tells it", fset.Position(pos))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Error("no files were looked at")
	}
}

func TestClockReadsAreFound(t *testing.T) {
	for source, want := range map[string]int{
		`package p; import "time"; var now = time.Now`:                                          1,
		`package p; import clock "time"; func f() { _ = clock.Since(clock.Time{}) }`:            1,
		`package p; import . "time"; var t = Now()`:                                             1,
		`package p; import "time"; func f(t time.Time) time.Time { return t.Add(time.Second) }`: 0,
		`package p; import "example.com/time"; var x = time.Now`:                                0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(clockReads(file)); got != want {
			t.Errorf("%s\n%d reads, want %d", source, got, want)
		}
	}
}
