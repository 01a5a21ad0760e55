package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"muster/internal/pgtest"
	"muster/query"
)

// TestManual follows the README and the pages of docs/ as a reader would, from top to
// bottom, each in an empty folder with a database of its own. Of the fenced blocks,
//
//   - yaml that begins with "# NAME.yaml" becomes that file,
//   - sh runs in bash; a block of one command that does not end, such as muster serve,
//     runs until the end of the page,
//   - sql must give rows, unless it says "(usually none)",
//   - query holds definitions, one a paragraph,
//
// and the rest is for the eye. docs/testing.md has a test of its own.
func TestManual(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append([]string{"../../README.md"}, pages...) {
		if filepath.Base(path) == "testing.md" {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r := newReader(t)
			for _, b := range fences(string(text)) {
				r.read(t, b)
			}
			r.finish(t)
		})
	}
}

// runElsewhere are commands of the manual that other tests run, too long to be run twice.
var runElsewhere = map[string]string{
	"go run ./cmd/muster demo": "TestDemo",
	"muster demo --keep":       "TestDemo",
	"go install ./cmd/muster":  "TestKill",
	"go test ./...":            "this run",
	"muster doctor":            "TestDoctor; the databases of tests trade safety for speed, which it finds",
	".ci/run":                  "what runs this",
}

// endless begin commands that run until they are stopped.
var endless = []string{"muster serve", "muster fake-mixpanel"}

// fence is a fenced block of a page.
type fence struct {
	line           int
	language, text string
}

var fenced = regexp.MustCompile("(?ms)^```(\\w*)[^\\n]*\\n(.*?)^```$")

func fences(page string) []fence {
	var blocks []fence
	for _, m := range fenced.FindAllStringSubmatchIndex(page, -1) {
		blocks = append(blocks, fence{
			line: strings.Count(page[:m[0]], "\n") + 1, language: page[m[2]:m[3]], text: page[m[4]:m[5]],
		})
	}
	return blocks
}

// reader is somebody who does what a page says.
type reader struct {
	folder, database string
	places           *strings.Replacer // addresses of the manual to ports that are free here
	addresses        map[string]string // by command
	running          []*exec.Cmd
	output           []*output
}

func newReader(t *testing.T) *reader {
	serve, fake := freeAddress(t), freeAddress(t)
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{
		folder: t.TempDir(), database: pgtest.DSN(t),
		places:    strings.NewReplacer("127.0.0.1:8080", serve, "127.0.0.1:8099", fake),
		addresses: map[string]string{"muster serve": serve, "muster fake-mixpanel": fake},
	}
	// Files that the manual names are found where a reader of the repository finds them.
	for _, name := range []string{"docs", "demo"} {
		if err := os.Symlink(filepath.Join(repository, name), filepath.Join(r.folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// fileName is in the first line of a block that is a file.
var fileName = regexp.MustCompile(`^# ([\w.-]+\.yaml)\n`)

func (r *reader) read(t *testing.T, b fence) {
	t.Helper()
	text := r.places.Replace(b.text)
	switch b.language {
	case "yaml":
		if m := fileName.FindStringSubmatch(text); m != nil {
			if err := os.WriteFile(filepath.Join(r.folder, m[1]), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	case "sh":
		r.shell(t, b.line, text)
	case "sql":
		r.sql(t, b.line, text)
	case "query":
		for definition := range strings.SplitSeq(text, "\n\n") {
			checkDefinition(t, b.line, definition)
		}
	case "", "text", "json":
	default:
		t.Errorf("line %d: nobody knows what to do with a block of %q", b.line, b.language)
	}
}

// shell runs a block. What it exports, later blocks see.
func (r *reader) shell(t *testing.T, line int, text string) {
	t.Helper()
	command := strings.TrimSpace(text)
	if runElsewhere[command] != "" {
		return
	}
	for _, e := range endless {
		if strings.HasPrefix(command, e) && !strings.Contains(command, "\n") {
			r.start(t, line, e, command)
			return
		}
	}
	cmd := r.bash("set -eo pipefail; if [ -f .exported ]; then . ./.exported; fi\n" + text + "\nexport -p > .exported")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("line %d: %v\n%s\n%s%s", line, err, text, out, r.heard())
	}
}

func (r *reader) bash(script string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = r.folder
	cmd.Env = append(os.Environ(), "DATABASE_URL="+r.database)
	return cmd
}

// start runs a command that does not end, and waits until it answers.
func (r *reader) start(t *testing.T, line int, name, command string) {
	t.Helper()
	cmd, out := r.bash("if [ -f .exported ]; then . ./.exported; fi\nexec "+command), new(output)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Args[2] += " --listen " + r.addresses[name]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_, _ = cmd.Process.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	r.running, r.output = append(r.running, cmd), append(r.output, out)
	eventually(t, fmt.Sprintf("line %d: %s answers", line, command), func() bool {
		select {
		case <-ended:
			t.Fatalf("line %d: %s has ended:\n%s", line, command, out)
		default:
		}
		resp, err := http.Get("http://" + r.addresses[name] + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return true
	})
}

// heard is what the running commands have printed.
func (r *reader) heard() string {
	var text bytes.Buffer
	for _, o := range r.output {
		text.WriteString(o.String())
	}
	return text.String()
}

// sql runs statements.
func (r *reader) sql(t *testing.T, line int, text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), r.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for statement := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		rows, err := conn.Query(t.Context(), statement)
		if err != nil {
			t.Fatalf("line %d: %v\n%s", line, err, statement)
		}
		found, err := pgx.CollectRows(rows, pgx.RowToMap)
		switch {
		case err != nil:
			t.Errorf("line %d: %v\n%s", line, err, statement)
		case len(found) == 0 && !strings.Contains(statement, "(usually none)"):
			t.Errorf("line %d: it shows a reader nothing\n%s\n%s", line, statement, r.heard())
		}
	}
}

// checkDefinition compiles a definition as an audience, or else as a trait.
func checkDefinition(t *testing.T, line int, text string) {
	t.Helper()
	if strings.TrimSpace(text) == "" {
		return
	}
	_, first := query.Compile(text, query.CheckOptions{Purpose: query.Audience})
	_, second := query.Compile(text, query.CheckOptions{Purpose: query.Trait})
	if first.Err() != nil && second.Err() != nil {
		t.Errorf("line %d:\n%s", line, first.Render())
	}
}

// finish interrupts what runs and looks at what it has said.
func (r *reader) finish(t *testing.T) {
	t.Helper()
	for _, cmd := range slices.Backward(r.running) {
		if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
	for _, bad := range []string{`"level":"ERROR"`, "violations of Mixpanel's rules"} {
		if strings.Contains(r.heard(), bad) {
			t.Errorf("something went wrong:\n%s", r.heard())
		}
	}
}

// The links of the manual lead somewhere.
func TestLinksOfTheManual(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(pages, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target := filepath.Join(filepath.Dir(path), m[1])
			page, err := os.ReadFile(target)
			if info, statErr := os.Stat(target); statErr != nil || err != nil && !info.IsDir() {
				t.Errorf("%s: there is no %s", filepath.Base(path), m[1])
			}
			if m[2] != "" && !slices.Contains(headings(string(page)), strings.TrimPrefix(m[2], "#")) {
				t.Errorf("%s: %s has no heading %s", filepath.Base(path), m[1], m[2])
			}
		}
	}
}

// headings are the anchors of a page's headings, as GitHub makes them.
func headings(page string) []string {
	var anchors []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		anchor := strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")
		anchors = append(anchors, regexp.MustCompile(`[^\w-]`).ReplaceAllString(anchor, ""))
	}
	return anchors
}
