package mixpanel

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type vector struct {
	Name         string
	Settings     json.RawMessage
	Input        json.RawMessage
	Expect       []expectation
	ExpectSubset bool       `json:"expect_subset"`
	ExpectAbsent [][]string `json:"expect_absent"`
	ExpectError  string     `json:"expect_error"`
}

type expectation struct {
	Endpoint string
	BaseURL  string `json:"base_url"`
	Query    map[string]string
	Body     any
}

type dryRunLine struct {
	MessageID string
	Messages  []struct {
		Endpoint string
		BaseURL  string `json:"base_url"`
		Query    map[string]string
		Body     any
		Warnings []string
	}
	Error string
}

// TestVectors runs the published vectors through the dry run, the code behind "muster map".
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/mixpanel-vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Meta struct {
			Now      time.Time
			Defaults json.RawMessage
		}
		Vectors []vector
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) < 50 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			var settings Settings
			for _, layer := range []json.RawMessage{file.Meta.Defaults, v.Settings} {
				if err := json.Unmarshal(layer, &settings); err != nil {
					t.Fatal(err)
				}
			}
			var got dryRunLine
			line := NewDryRun(settings).Line(readCall(t, string(v.Input)), file.Meta.Now)
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			v.check(t, got)
		})
	}
}

func (v *vector) check(t *testing.T, got dryRunLine) {
	t.Helper()
	if v.ExpectError != "" {
		if !strings.Contains(got.Error, v.ExpectError) || got.Messages != nil {
			t.Fatalf("error %q with %d messages, want an error about %q", got.Error, len(got.Messages), v.ExpectError)
		}
		return
	}
	if got.Error != "" {
		t.Fatalf("refused: %s", got.Error)
	}
	if len(got.Messages) != len(v.Expect) {
		t.Fatalf("%d messages, want %d: %v", len(got.Messages), len(v.Expect), got.Messages)
	}
	for i, want := range v.Expect {
		m := got.Messages[i]
		if m.Endpoint != want.Endpoint {
			t.Errorf("message %d goes to %s, want %s", i, m.Endpoint, want.Endpoint)
		}
		if want.BaseURL != "" && m.BaseURL != want.BaseURL {
			t.Errorf("message %d goes to %s, want %s", i, m.BaseURL, want.BaseURL)
		}
		for name, value := range want.Query {
			if m.Query[name] != value {
				t.Errorf("message %d has query %s=%q, want %q", i, name, m.Query[name], value)
			}
		}
		if v.ExpectSubset {
			if !contains(m.Body, want.Body) {
				t.Errorf("message %d lacks something (-want +got):\n%s", i, cmp.Diff(want.Body, m.Body))
			}
		} else if diff := cmp.Diff(want.Body, m.Body); diff != "" {
			t.Errorf("message %d (-want +got):\n%s", i, diff)
		}
		for _, path := range v.ExpectAbsent {
			if present(m.Body, path) {
				t.Errorf("message %d has %v", i, path)
			}
		}
	}
}

// contains tells whether every object in want is contained in got.
func contains(got, want any) bool {
	object, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(got, want)
	}
	in, ok := got.(map[string]any)
	if !ok {
		return false
	}
	for name, value := range object {
		if _, there := in[name]; !there || !contains(in[name], value) {
			return false
		}
	}
	return true
}

func present(body any, path []string) bool {
	for _, name := range path {
		object, ok := body.(map[string]any)
		if !ok {
			return false
		}
		if body, ok = object[name]; !ok {
			return false
		}
	}
	return true
}
