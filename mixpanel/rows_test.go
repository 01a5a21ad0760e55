package mixpanel

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// TestRows holds the mapper against the cases in testdata/rows. Their lines:
//
//	== name
//	set   settings, if not the defaults
//	in    the call; ids and times that it does not give have defaults
//	out   the next message: its endpoint and what its body must contain
//	exact the next message: its endpoint and its body
//	no    a path that the message above must not have
//	warn  a warning that the message above must have
//	error the code of the rejection, and a part of its text
//	nothing
//
// In a body "@v5" stands for any version 5 UUID, and "@any" for anything.
func TestRows(t *testing.T) {
	files, err := filepath.Glob("testdata/rows/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range strings.Split("\n"+string(text), "\n== ")[1:] {
			lines := strings.Split(strings.TrimSpace(row), "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+lines[0], func(t *testing.T) { runRow(t, lines[1:]) })
		}
	}
}

func runRow(t *testing.T, lines []string) {
	settings := Settings{Token: "tok_demo", ProjectID: "src_demo"}
	var messages []Message
	var failure error
	checked := 0
	for _, line := range lines {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "":
		case "set":
			if err := json.Unmarshal([]byte(rest), &settings); err != nil {
				t.Fatal(err)
			}
		case "in":
			m, err := NewMapper(settings)
			if err != nil {
				t.Fatal(err)
			}
			call := readCall(t, withDefaults(t, rest))
			messages, failure = m.Map(call, testNow)
			counts := slices.ContainsFunc(messages, func(o Message) bool { return o.Class == ClassIncrement })
			if m.counts(call) != counts {
				t.Errorf("counting is foretold as %v", !counts)
			}
		case "out", "exact":
			if failure != nil {
				t.Fatalf("refused: %v", failure)
			}
			if checked == len(messages) {
				t.Fatalf("only %d messages", checked)
			}
			endpoint, want, _ := strings.Cut(rest, " ")
			checkMessage(t, &messages[checked], Endpoint(endpoint), want, verb == "exact")
			checked++
		case "no":
			if present(decoded(t, string(messages[checked-1].Body)), strings.Fields(rest)) {
				t.Errorf("has %s: %s", rest, messages[checked-1].Body)
			}
		case "warn":
			if names := messages[checked-1].Warnings.Names(); !slices.Contains(names, rest) {
				t.Errorf("warnings are %v, want %s", names, rest)
			}
		case "error":
			code, part, _ := strings.Cut(rest, " ")
			var r *Rejection
			if !errors.As(failure, &r) || r.Code != Code(code) || !strings.Contains(r.Error(), part) {
				t.Fatalf("got %v and %d messages, want %s about %q", failure, len(messages), code, part)
			}
		case "nothing":
			if failure != nil {
				t.Fatalf("refused: %v", failure)
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	if checked < len(messages) {
		t.Errorf("also sends %s %s", messages[checked].Endpoint, messages[checked].Body)
	}
}

// withDefaults completes a call.
func withDefaults(t *testing.T, call string) string {
	t.Helper()
	fields := map[string]any{"messageId": "m-1", "timestamp": "2026-03-10T11:58:30.250Z"}
	if err := json.Unmarshal([]byte(call), &fields); err != nil {
		t.Fatal(err)
	}
	_, user := fields["userId"]
	_, anonymous := fields["anonymousId"]
	if !user && (!anonymous || fields["type"] == "alias") {
		fields["userId"] = "u_77"
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func checkMessage(t *testing.T, m *Message, endpoint Endpoint, want string, exact bool) {
	t.Helper()
	if m.Endpoint != endpoint {
		t.Errorf("goes to %s, want %s", m.Endpoint, endpoint)
	}
	got := decoded(t, string(m.Body))
	expected := fillIn(decoded(t, want), got)
	if exact {
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	} else if !contains(got, expected) {
		t.Errorf("%s\nlacks something of\n%s", m.Body, want)
	}
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// fillIn replaces the wildcards in want by what got has, where that is allowed.
func fillIn(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for name := range w {
			w[name] = fillIn(w[name], g[name])
		}
	case []any:
		g, _ := got.([]any)
		for i := range min(len(w), len(g)) {
			w[i] = fillIn(w[i], g[i])
		}
	case string:
		text, isText := got.(string)
		id, err := uuid.Parse(text)
		if w == "@any" || w == "@v5" && isText && err == nil && id.Version() == 5 && id.Variant() == uuid.RFC4122 {
			return got
		}
	}
	return want
}
