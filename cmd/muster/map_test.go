package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// vector is a case of the published mapping: a call, settings, and what must come out.
type vector struct {
	Name         string
	Settings     map[string]any
	Input        json.RawMessage
	Expect       []mapped
	ExpectSubset bool       `json:"expect_subset"`
	ExpectAbsent [][]string `json:"expect_absent"`
	ExpectError  string     `json:"expect_error"`
}

type mapped struct {
	Endpoint string            `json:"endpoint"`
	BaseURL  string            `json:"base_url"`
	Query    map[string]string `json:"query"`
	Body     any               `json:"body"`
}

// TestMapVectors runs every published vector through the command, compared as the
// rules in the file say.
func TestMapVectors(t *testing.T) {
	text, err := os.ReadFile("../../mixpanel/testdata/mixpanel-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Meta struct {
			Now      string
			Defaults map[string]any
		}
		Vectors []vector
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	delete(file.Meta.Defaults, "everything_else") // a remark, not a setting
	if len(file.Vectors) < 50 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			settings := make(map[string]any)
			for _, layer := range []map[string]any{file.Meta.Defaults, v.Settings} {
				maps.Copy(settings, layer)
			}
			v.check(t, runMap(t, settings, v.Input, file.Meta.Now))
		})
	}
}

// runMap gives one call to the command and returns its line.
func runMap(t *testing.T, settings map[string]any, call json.RawMessage, now string) (line struct {
	MessageID string
	Messages  []mapped
	Error     string
},
) {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var in, out, errs bytes.Buffer
	if err := json.Compact(&in, call); err != nil {
		t.Fatal(err)
	}
	env := &environment{in: &in, out: &out, err: &errs, lookup: func(string) (string, bool) { return "", false }, now: time.Now}
	if code := run(t.Context(), env, []string{"map", "--settings", path, "--now", now}); code != exitOK || errs.Len() > 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Fatalf("%d lines for one call:\n%s", n, out.String())
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	return line
}

func (v *vector) check(t *testing.T, got struct {
	MessageID string
	Messages  []mapped
	Error     string
},
) {
	t.Helper()
	if v.ExpectError != "" {
		if !strings.Contains(got.Error, v.ExpectError) || got.Messages != nil {
			t.Fatalf("error %q with %d messages, want an error about %q", got.Error, len(got.Messages), v.ExpectError)
		}
		return
	}
	if got.Error != "" || len(got.Messages) != len(v.Expect) {
		t.Fatalf("error %q and %d messages, want %d: %v", got.Error, len(got.Messages), len(v.Expect), got.Messages)
	}
	for i, want := range v.Expect {
		m := got.Messages[i]
		if m.Endpoint != want.Endpoint || want.BaseURL != "" && m.BaseURL != want.BaseURL {
			t.Errorf("message %d goes to %s %s, want %s %s", i, m.BaseURL, m.Endpoint, want.BaseURL, want.Endpoint)
		}
		for name, value := range want.Query {
			if m.Query[name] != value {
				t.Errorf("message %d has query %s=%q, want %q", i, name, m.Query[name], value)
			}
		}
		body := m.Body
		if v.ExpectSubset {
			body = restrict(body, want.Body)
		}
		if diff := cmp.Diff(want.Body, body); diff != "" {
			t.Errorf("message %d (-want +got):\n%s", i, diff)
		}
		for _, path := range v.ExpectAbsent {
			if value, there := at(m.Body, path); there {
				t.Errorf("message %d has %v: %v", i, path, value)
			}
		}
	}
}

// restrict leaves those members of objects out that the wanted value does not have.
func restrict(got, want any) any {
	w, isObject := want.(map[string]any)
	g, also := got.(map[string]any)
	if !isObject || !also {
		return got
	}
	some := make(map[string]any)
	for name, value := range w {
		if have, ok := g[name]; ok {
			some[name] = restrict(have, value)
		}
	}
	return some
}

// at is the value at a path of keys.
func at(body any, path []string) (any, bool) {
	for _, name := range path {
		object, ok := body.(map[string]any)
		if !ok {
			return nil, false
		}
		if body, ok = object[name]; !ok {
			return nil, false
		}
	}
	return body, true
}

// The judge itself: a body that lacks something must not pass for a superset.
func TestRestrictKeepsWhatDiffers(t *testing.T) {
	got := map[string]any{"a": 1.0, "b": map[string]any{"c": 2.0, "d": 3.0}}
	for _, c := range []struct {
		want any
		same bool
	}{
		{map[string]any{"a": 1.0}, true},
		{map[string]any{"b": map[string]any{"c": 2.0}}, true},
		{map[string]any{"b": map[string]any{"x": 2.0}}, false},
		{map[string]any{"a": 2.0}, false},
		{map[string]any{"a": map[string]any{}}, false},
	} {
		if same := reflect.DeepEqual(restrict(got, c.want), c.want); same != c.same {
			t.Errorf("%v: %v, want %v", c.want, same, c.same)
		}
	}
}

func TestMapAnswersEveryLine(t *testing.T) {
	var out, errs bytes.Buffer
	long := strings.Repeat("x", 1<<20)
	calls := `{"type":"track","event":"` + long + `","userId":"u"}` + "\r\n" +
		`{"type":"identify","messageId":"short","userId":"u","traits":{"a":1}}` + "\r\n\r\n" +
		`{"type":"identify","messageId":"` + long[:200] + `","userId":"u"}` + "\n" +
		`["no","call"]` // and no line feed behind it
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte("token: tok"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := &environment{in: strings.NewReader(calls), out: &out, err: &errs, lookup: os.LookupEnv, now: time.Now}
	if code := run(t.Context(), env, []string{"map", "--settings", path}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	want := []string{`"error":"line 1 is longer than 1048576 bytes"`, `"messageId":"short","messages":[{`, `"error":"message_id_too_long`, `"error":"invalid_message`}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), out.String())
	}
	for i, w := range want {
		if !strings.Contains(lines[i], w) {
			t.Errorf("line %d is %s, want %s", i+1, lines[i], w)
		}
	}
}
