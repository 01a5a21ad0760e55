package scenario_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"muster/scenario"
)

var fence = regexp.MustCompile("(?ms)^```(\\w+)([^\\n]*)\\n(.*?)^```$")

// The examples of the manual are run. In docs/testing.md a block that begins with
// "```yaml scenario" is a file whose scenarios pass; one of "```yaml scenario fails" is
// one that gives the text block below it.
func TestManual(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllStringSubmatch(string(text), -1)
	ran := 0
	for i, block := range blocks {
		mark, example := strings.TrimSpace(block[2]), block[3]
		if block[1] != "yaml" || !strings.HasPrefix(mark, "scenario") {
			continue
		}
		ran++
		dir := t.TempDir()
		path := filepath.Join(dir, "audiences.test.yaml")
		if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		report, got := run(t, scenario.Options{}, false, path)
		passed, failed := report.Count()
		switch {
		case mark == "scenario fails" && i+1 < len(blocks) && blocks[i+1][1] == "text":
			equal(t, "the output in the manual", blocks[i+1][3], strings.ReplaceAll(got, dir+string(filepath.Separator), ""))
		case mark != "scenario" || passed == 0 || failed > 0:
			t.Errorf("example marked %q:\n%s\n%s", mark, example, got)
		}
	}
	if ran < 7 {
		t.Errorf("only %d examples were found", ran)
	}
}
