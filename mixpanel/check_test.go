package mixpanel

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// finding is the one about a subject.
func finding(t *testing.T, findings []Finding, subject string) Finding {
	t.Helper()
	for _, f := range findings {
		if f.Subject == subject {
			return f
		}
	}
	t.Fatalf("nothing about %s in %+v", subject, findings)
	return Finding{}
}

// knows accepts these users of Basic authentication.
func knows(users ...string) func(http.ResponseWriter, seen, int) {
	return func(w http.ResponseWriter, r seen, _ int) {
		if slices.Contains(users, r.user) {
			fmt.Fprint(w, `{"code":200,"num_records_imported":0,"status":"OK"}`)
			return
		}
		w.WriteHeader(401)
		fmt.Fprint(w, `{"code":401,"error":"Invalid credentials","status":"Unauthorized"}`)
	}
}

func TestCheck(t *testing.T) {
	anybody := func(w http.ResponseWriter, _ seen, _ int) { fmt.Fprint(w, `{"code":200,"status":"OK"}`) }
	empty := func(w http.ResponseWriter, r seen, n int) {
		if r.user == bogus {
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(400) // Mixpanel may complain about a list without events
		fmt.Fprint(w, `{"code":400,"error":"no events"}`)
	}
	tests := []struct {
		name     string
		settings Settings
		answer   func(http.ResponseWriter, seen, int)
		want     map[string]Standing
		passed   bool
	}{
		{"token", Settings{}, knows("tok_demo"), map[string]Standing{"project token": Proven, "profiles": Unprovable, "id merge": Unprovable}, true},
		{"complains about the empty list", Settings{}, empty, map[string]Standing{"project token": Proven}, true},
		{"unknown token", Settings{}, knows(), map[string]Standing{"project token": Failed}, false},
		{"everybody is welcome", Settings{}, anybody, map[string]Standing{"project token": Unprovable}, true},
		{"down", Settings{}, status(503), map[string]Standing{"project token": Failed}, false},
		{"API secret", Settings{APISecret: "sec"}, knows("tok_demo", "sec"), map[string]Standing{"API secret": Proven, "token and credentials": Unprovable}, true},
		{"wrong API secret", Settings{APISecret: "sec"}, knows("tok_demo"), map[string]Standing{"project token": Proven, "API secret": Failed}, false},
		{
			"service account",
			Settings{ServiceAccountUsername: "svc", ServiceAccountSecret: "pw", MixpanelProjectID: 1},
			knows("tok_demo", "svc"),
			map[string]Standing{"service account": Proven},
			true,
		},
		{
			"traps",
			Settings{GroupIdentifierTraits: []string{"team"}, People: new(false), Strict: new(false), EventEndpoint: EventsAuto},
			knows("tok_demo"),
			map[string]Standing{"group keys": Unprovable, "people": Warned, "strict": Warned, "event endpoint": Warned},
			true,
		},
		{"filtered traits", Settings{SetAllTraitsByDefault: new(false), IDMerge: MergeSimplified}, knows("tok_demo"), map[string]Standing{"traits": Warned}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, test.answer)
			test.settings.BaseURL = s.URL
			findings := newDestination(t, test.settings).Check(t.Context())
			for subject, standing := range test.want {
				if f := finding(t, findings, subject); f.Standing != standing || f.Text == "" {
					t.Errorf("got %+v, want %s", f, standing)
				}
			}
			if Passed(findings) != test.passed {
				t.Errorf("passed: %v", Passed(findings))
			}
			for _, r := range s.requests() {
				if r.path != string(Import) || len(r.records) != 0 {
					t.Errorf("the check leaves traces: %+v", r)
				}
			}
			if text := fmt.Sprint(findings); strings.Contains(text, "tok_demo") || strings.Contains(text, "sec ") {
				t.Errorf("a secret is shown: %s", text)
			}
		})
	}
}
