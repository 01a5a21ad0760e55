package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"muster/config"
	"muster/engine"
	"muster/query"
)

// folder writes files, named with slashes, and returns where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// A folder is the file that its files would be together.
func TestFolder(t *testing.T) {
	const top = "listen: 127.0.0.1:9\nsources:\n  - {name: web, write_key: k}\n"
	const people = "destinations:\n  - {name: m, settings: {token: t}}\naudiences:\n  - {name: A, query: event('Seen')}\n"
	const more = "  - {name: B, query: event('Seen'), connections: []}\n"
	whole := mustParse(t, top+people+more)
	root := folder(t, map[string]string{
		"a.yaml": top, "b/c.yml": people, "d.yaml": "audiences:\n" + more, "notes.txt": "no: [", ".hidden.yaml": "no: [", ".git/x.yaml": "no: [", "e.yaml": "",
	})
	c, err := config.Load(root, getenv)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole.Definitions(), c.Definitions()); diff != "" {
		t.Error(diff)
	}
	if c.Listen != whole.Listen || len(c.Sources) != 1 || len(c.Destinations) != 1 {
		t.Errorf("%+v", c)
	}
}

func TestDefinitionsWithoutDestinations(t *testing.T) {
	root := folder(t, map[string]string{"a.yaml": "audiences:\n  - {name: A, query: x}\n  - {name: B, query: x, connections: [{destination: two, emit: track}]}\n"})
	c, err := config.LoadDefinitions(root, getenv, []string{"one", "two"})
	if err != nil {
		t.Fatal(err)
	}
	defs := c.Definitions()
	if len(defs[0].Connections) != 2 || defs[1].Connections[0].Destination != "two" || len(c.Destinations) != 0 {
		t.Errorf("%+v", defs)
	}
	if _, err := config.LoadDefinitions(root, getenv, nil); err == nil || !strings.Contains(err.Error(), `there is no destination "two"`) {
		t.Error(err)
	}
}

func TestFaultsOfFoldersNameTheirFile(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"empty", map[string]string{"x.txt": ""}, []string{"holds no file that ends in .yaml or .yml"}},
		{"a list", map[string]string{"a.yaml": "traits:\n  - {name: A, query: x}", "b.yaml": "traits:\n  - name: B\n"}, []string{"b.yaml:2: traits[0]: query is missing"}},
		{
			"other elements",
			map[string]string{"a.yaml": "traits:\n  - {name: A, query: x}", "b.yaml": "\naudiences:\n  - {name: A, query: x}"},
			[]string{"a.yaml:2: traits[0]: the key \"a\" is that of audiences[0] of ", "b.yaml; audiences"},
		},
		{"a field twice", map[string]string{"a.yaml": "listen: 127.0.0.1:1", "b.yaml": "\nlisten: 127.0.0.1:2"}, []string{"b.yaml:2: listen: it stands in ", "a.yaml too"}},
		{"a field", map[string]string{"a.yaml": "", "b.yaml": "\ndedup_window: 2h"}, []string{"b.yaml:2: dedup_window: 2h"}},
		{"a nested field", map[string]string{"a.yaml": "identity:\n  max_ids: -1"}, []string{"a.yaml:2: identity: max_ids"}},
		{"two at once", map[string]string{"a.yaml": "listen_on: x", "b.yaml": "sources: x"}, []string{`a.yaml:1:1: unknown field "listen_on"`, "b.yaml:1:10: a text stands where a list belongs"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.LoadDefinitions(folder(t, c.files), getenv, nil)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %s", err, want)
				}
			}
		})
	}
	if _, err := config.LoadDefinitions("no-such-folder", getenv, nil); err == nil || !strings.Contains(err.Error(), "no-such-folder") {
		t.Error(err)
	}
}

// A mistake in a query is shown where it is in the file.
func TestPlaces(t *testing.T) {
	root := folder(t, map[string]string{"a.yaml": `
audiences:
  - name: Plain
    query: event('Seen').cuont() >= 1
  - name: Quoted
    query: "event('Seen').cuont() >= 1"
  - name: Block
    query: |
      event('Seen').count() >= 1
      AND event('Seen').cuont() >= 1
  - {name: Flow, query: event('Seen').cuont() >= 1}
`})
	c, err := config.LoadDefinitions(root, getenv, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"a.yaml:4:26: plain: ", "a.yaml:6:27: quoted: ", "a.yaml:10:25: block: ", "a.yaml:11:39: flow: "} {
		def := c.Definitions()[i]
		_, found := query.Compile(def.Query, query.CheckOptions{Purpose: query.Audience})
		shown := c.Place(def.Key).Render(def.Key, found)
		if !strings.Contains(shown, want) || !strings.Contains(shown, "there is no function") || !strings.Contains(shown, "^") {
			t.Errorf("%s is shown as\n%s\nwant %s", def.Key, shown, want)
		}
	}
}

// loadText is LoadDefinitions of a file with this text, where no variable is set.
func loadText(t *testing.T, name, text string, destinations ...string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(folder(t, map[string]string{name: text}), name)
	return config.LoadDefinitions(path, func(string) (string, bool) { return "", false }, destinations)
}

// The characters of a query are found where they are, however it is written.
func TestPlacesOfBlocks(t *testing.T) {
	for name, c := range map[string]struct{ query, want, line string }{
		"literal":          {"|\n      event('Seen').count() >= 1\n      AND event('Seen').cuont() >= 1\n", "5:25", "AND event('Seen').cuont() >= 1\n"},
		"strip":            {"|-\n      event('Seen').cuont() >= 1", "4:21", "event('Seen').cuont() >= 1\n"},
		"folded":           {">\n      event('Seen').count() >= 1\n      AND event('Seen').cuont() >= 1\n", "5:25", "AND event('Seen').cuont() >= 1\n"},
		"folded, more":     {">\n      event('Seen').count() >= 1\n        AND\n\n      event('Seen').cuont() >= 1\n", "7:21", "event('Seen').cuont() >= 1\n"},
		"indented by 9":    {"|2\n         event('Seen').count() >= 1\n         AND event('Seen').cuont() >= 1\n", "5:28", "AND event('Seen').cuont() >= 1\n"},
		"after a comment":  {"| # who\n      event('Seen').cuont() >= 1\n", "4:21", "event('Seen').cuont() >= 1\n"},
		"tabs":             {"|\n      event('Seen').count() >= 1\n      AND\tevent('Seen')\t.cuont() >= 1\n", "5:26", "AND\tevent('Seen')\t.cuont() >= 1\n    " + "   \t             \t ^"},
		"not ASCII":        {"|\n      event('Größe 家 🎈').cuont() >= 1\n", "4:26", "event('Größe 家 🎈').cuont() >= 1\n    " + strings.Repeat(" ", 19) + "^"},
		"empty lines":      {"|\n\n      event('Seen').count() >= 1\n\n      AND event('Seen').cuont() >= 1\n", "7:25", "AND event('Seen').cuont() >= 1\n"},
		"the end is early": {"|\n      event('Seen').count() >=\n", "4:31", "event('Seen').count() >=\n"},
		"plain lines":      {"event('Seen').count() >= 1\n      AND event('Seen').cuont() >= 1\n", "4:25", "AND event('Seen').cuont() >= 1\n"},
		"quoted lines":     {"'event(''Seen'').count() >= 1\n      AND event(''Seen'').cuont() >= 1'\n", "4:27", "AND event(''Seen'').cuont() >= 1\n"},
		"double quoted":    {"\"event('Seen').cuont() >= 1\"\n", "3:27", "event('Seen').cuont() >= 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, ends := range []string{"\n", "\r\n"} {
				text := strings.ReplaceAll("audiences:\n  - name: A\n    query: "+c.query+"\n    description: a secret\n", "\n", ends)
				conf, err := loadText(t, "a.yaml", text)
				if err != nil {
					t.Fatal(err)
				}
				_, found := query.Compile(conf.Definitions()[0].Query, query.CheckOptions{Purpose: query.Audience})
				if len(found) == 0 {
					t.Fatal("nothing is found")
				}
				shown := conf.Place("a").Render("a", found)
				if !strings.Contains(shown, "a.yaml:"+c.want+": a: ") && c.want != "" || !strings.Contains(shown, c.line) || !strings.Contains(shown, "^") || strings.Contains(shown, "secret") {
					t.Errorf("%q: shown as\n%s\nwant %s and\n%s", ends, shown, c.want, c.line)
				}
			}
		})
	}
}

// What is exported reads back the same, whatever is in it.
func TestExport(t *testing.T) {
	defs := []engine.Definition{
		{Key: "a", Name: "A", Kind: query.Audience, Query: "event('${HOME} #: \"x\"').count() >= 1", Schedule: engine.DefaultSchedule, IncludeHistorical: true},
		{Key: "own_key", Name: "Kö: [x] ${TOKEN:-y}", Description: "two\nlines, 'quoted' \\ and # more: of it\n", Kind: query.Audience, Query: "x", Schedule: "0 */6 * * *", IncludeAnonymous: true, BackfillDays: 3},
		{
			Key: "true", Name: "true", Kind: query.Trait, Query: "event('Seen')\n  .count()", IncludeHistorical: true, Refresh: engine.RefreshRealtime,
			Connections: []engine.ConnectionDefinition{{Destination: "m", Emit: engine.EmitTrack, EnteredEvent: "${IN}", ExitedEvent: "Out", ComputedEvent: "0012", Strategy: "last"}},
		},
	}
	text, err := config.Export(defs).Text()
	if err != nil {
		t.Fatal(err)
	}
	c, err := loadText(t, "x.yaml", string(text), "m")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	defs[0].Schedule = "" // the default, which Define puts in
	if diff := cmp.Diff(defs, c.Definitions()); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, text)
	}
}
