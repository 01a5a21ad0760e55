package mixpaneltest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"muster/mixpanel/mixpaneltest"
)

// judge is a test that only notes its failures.
type judge struct {
	cleanups []func()
	errors   []string
}

func (j *judge) Helper()          {}
func (j *judge) Cleanup(f func()) { j.cleanups = append(j.cleanups, f) }
func (j *judge) Errorf(format string, args ...any) {
	j.errors = append(j.errors, fmt.Sprintf(format, args...))
}
func (j *judge) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func TestStartFailsTheTestForBreaches(t *testing.T) {
	breach := func(s *mixpaneltest.Server) {
		request{path: "/engage", body: update("u1", `"$set":{}`)}.send(t, s)
	}
	const found = "mixpaneltest: request 1 to /engage: missing_ip_0: users without an address are located where the request comes from"
	for _, c := range []struct {
		name string
		do   func(*mixpaneltest.Server)
		want []string
	}{
		{"nothing", func(*mixpaneltest.Server) {}, nil},
		{"a breach", breach, []string{found}},
		{"an expected breach", func(s *mixpaneltest.Server) { s.Expect(mixpaneltest.RuleMissingIP); breach(s) }, nil},
		{"an allowed breach", func(s *mixpaneltest.Server) { s.Allow(mixpaneltest.RuleMissingIP); breach(s) }, nil},
		{"allowed, not done", func(s *mixpaneltest.Server) { s.Allow(mixpaneltest.RuleMissingIP) }, nil},
		{"another expected", func(s *mixpaneltest.Server) { s.Expect(mixpaneltest.RuleGzip); breach(s) }, []string{found, "mixpaneltest: expected violations that did not happen: gzip"}},
		{"many", func(s *mixpaneltest.Server) {
			for range 30 {
				breach(s)
			}
		}, nil},
	} {
		j := &judge{}
		s := mixpaneltest.Start(j, mixpaneltest.Options{})
		c.do(s)
		for _, f := range j.cleanups {
			f()
		}
		if c.name == "many" {
			if len(j.errors) != 21 || !strings.Contains(j.errors[20], "more") {
				t.Errorf("many: %d errors: %v", len(j.errors), j.errors)
			}
			continue
		}
		if !reflect.DeepEqual(j.errors, c.want) {
			t.Errorf("%s: %q, want %q", c.name, j.errors, c.want)
		}
	}
}

func TestStartAndClose(t *testing.T) {
	s := mixpaneltest.NewServer(mixpaneltest.Options{})
	url, err := s.Start("127.0.0.1:0")
	if err != nil || url != s.URL() || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatal(url, err)
	}
	if _, err := s.Start("127.0.0.1:0"); err == nil {
		t.Error("started twice")
	}
	if _, err := mixpaneltest.NewServer(mixpaneltest.Options{}).Start(strings.TrimPrefix(url, "http://")); err == nil || !strings.Contains(err.Error(), "listen on 127.0.0.1:") {
		t.Errorf("a port in use: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := (request{path: "/", get: true}).try(t, s); err == nil {
		t.Error("it still answers")
	}
	if err := mixpaneltest.NewServer(mixpaneltest.Options{}).Close(); err != nil {
		t.Error(err)
	}
}

func TestOptionsValidate(t *testing.T) {
	err := mixpaneltest.Options{Region: "mars", KeepEvents: -1, Projects: []mixpaneltest.Project{
		{}, {Token: "a"}, {Token: "a"}, {Token: "b", Region: "moon"}, {Token: "c", IDMerge: "magic"}, {Token: "d", ServiceAccounts: map[string]string{"x": "y"}},
	}}.Validate()
	for _, want := range []string{
		`options: unknown region "mars"`, "negative", "project 1: it has no token", "project 3: its token is that", `project 4: unknown region "moon"`,
		`project 5: unknown id merge "magic"`, "project 6: service accounts need a project id",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	defer func() {
		if r := recover(); r == nil {
			t.Error("NewServer took invalid options")
		}
	}()
	mixpaneltest.NewServer(mixpaneltest.Options{Region: "mars"})
}
