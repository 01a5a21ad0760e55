package scenario_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/engine"
	"muster/identity"
	"muster/query"
	"muster/scenario"
)

// script is a System that writes down what it is told to do.
type script struct {
	log  []string
	sent []scenario.Sent
}

func (s *script) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *script) SetNow(now time.Time) { s.note("now %s", scenario.Offset(now.Sub(at("+0d")))) }
func (s *script) Define(_ context.Context, all []engine.Definition) ([]*engine.DefinitionError, error) {
	for _, def := range all {
		s.note("define %s", def.Key)
	}
	return nil, nil
}

func (s *script) Remove(_ context.Context, key string) error {
	s.note("remove %s", key)
	return nil
}

func (s *script) DeleteProfile(_ context.Context, id identity.ID) error {
	s.note("delete %s", id)
	return nil
}

func (s *script) Ingest(_ context.Context, calls []engine.Received) error {
	if len(calls) > 20 {
		s.note("ingest %d calls, %s to %s", len(calls), calls[0].Call.MessageID, calls[len(calls)-1].Call.MessageID)
		return nil
	}
	texts := make([]string, len(calls))
	for i, c := range calls {
		texts[i] = fmt.Sprintf("%s from %s at %s, received %s", c.Call.MessageID, c.Source,
			scenario.Offset(c.Call.Timestamp.Sub(at("+0d"))), scenario.Offset(c.Call.ReceivedAt.Sub(at("+0d"))))
	}
	s.note("ingest %s", strings.Join(texts, "; "))
	return nil
}

func (s *script) Settle(context.Context) error { s.note("settle"); return nil }

func (s *script) Values(_ context.Context, key string) iter.Seq2[scenario.Holder, error] {
	s.note("values %s", key)
	return func(func(scenario.Holder, error) bool) {}
}

func (s *script) Sent(context.Context) ([]scenario.Sent, error) {
	sent := s.sent
	s.sent = nil
	return sent, nil
}

func (s *script) Close() error { s.note("close"); return nil }

// played is what a system is told to do by a scenario with the body.
func played(t *testing.T, dir, body string) string {
	t.Helper()
	path := filepath.Join(dir, "x.yaml")
	text := "format: engage-scenarios/1\nt0: 2026-02-02T00:00:00Z\nscenarios:\n- id: X\n" + indent(body)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &script{}
	report, err := scenario.Run(t.Context(), []string{path}, scenario.Options{Open: func(_ context.Context, setup scenario.Setup) (scenario.System, error) {
		s.note("open %s at %s, %d", setup.Scenario, scenario.Offset(setup.Start.Sub(at("+0d"))), setup.Identity.MaxIDs)
		return s, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Results[0].Err; err != nil {
		s.note("error: %s", strings.ReplaceAll(err.Error(), dir, "DIR"))
	}
	return strings.Join(s.log, "\n") + "\n"
}

func TestPartsOfAStepHappenInTheirOrder(t *testing.T) {
	got := played(t, t.TempDir(), `
steps:
- at: "-1h"
  expect: {members: {a: []}}
  compute: true
  events: [{type: track, userId: u, event: A}]
  delete_profile: [u, "email:U@x.test"]
  define: [{key: c, kind: audience, query: q}]
- at: +1d
  expect: {members: {c: []}, trait_count: {t: 0}}
  events:
  - {type: track, userId: u, event: A, repeat: 2, source: web, ts: "-3d"}
  - {type: track, userId: u, event: A, messageId: m, repeat: 2}
  - {type: track, userId: u, event: A, timestamp: "2026-02-01T00:00:00Z"}
  remove: [a]
definitions: [{key: a, kind: audience, query: q}, {key: t, kind: trait, query: q}]
identity: {max_ids: 7}
`)
	want := `open X at -1h, 7
now -1h
define a
define t
define c
delete user_id:u
delete email:u@x.test
ingest muster-test-1-1-1 from test at -1h, received -1h
settle
values a
now +1d
remove a
ingest muster-test-2-1-1 from web at -3d, received +1d; muster-test-2-1-2 from web at -3d, received +1d; m from test at +1d, received +1d; m-2 from test at +1d, received +1d; muster-test-2-3-1 from test at -1d, received +1d
values c
values t
close
`
	equal(t, "what the system is told", got, want)
}

func TestTicksGoFromStepToStepOnTheClock(t *testing.T) {
	got := played(t, t.TempDir(), `
tick: 1h
steps:
- {at: +30m, compute: true}
- {at: +3h}
- {at: +3h}
- {at: +4h30m, compute: true}
`)
	want := `open X at +30m, 0
now +30m
settle
now +1h
settle
now +2h
settle
now +3h
now +3h
now +4h
settle
now +4h30m
settle
close
`
	equal(t, "what the system is told", got, want)
}

func TestManyCallsComeInBatches(t *testing.T) {
	got := played(t, t.TempDir(), "steps: [{at: +0d, events: [{type: track, userId: u, event: A, repeat: 4001}]}]")
	for _, line := range []string{
		"ingest 2000 calls, muster-test-1-1-1 to muster-test-1-1-2000\n",
		"ingest 2000 calls, muster-test-1-1-2001 to muster-test-1-1-4000\n",
		"ingest muster-test-1-1-4001 from test",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
}

func call(id, stamp string) string {
	c := `{"type":"track","userId":"u","event":"A"`
	if id != "" {
		c += `,"messageId":"` + id + `"`
	}
	if stamp != "" {
		c += `,"timestamp":"` + stamp + `"`
	}
	return c + "}\n"
}

func TestCallsOfAFileWaitForTheirTime(t *testing.T) {
	text := "\xef\xbb\xbf" + call("far", "2026-03-20T00:00:00Z") + call("b", "2026-02-03T00:00:00Z") + "\r\n" +
		call("a", "2026-02-02T00:00:00.0005Z") + call("", "") + call("old", "2009-01-01T00:00:00Z") +
		strings.TrimSuffix(call("c", "2026-02-03T00:00:01Z"), "\n")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"calls.ndjson": []byte(text), "calls.ndjson.gz": packed.Bytes()} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		got := played(t, dir, strings.ReplaceAll(`
steps:
- {at: +0d, events_file: NAME}
- {at: +1d, events: [{type: track, userId: u, event: B}], events_file: NAME}
- {at: +2d}
- {at: +90d, events_file: NAME}
`, "NAME", name))
		// The line without a time is one of the step that reads it. Later steps see it
		// again, under the same message id.
		want := `open X at +0d, 0
now +0d
ingest muster-test-line-5 from test at +0d, received +0d; old from test at -6241d, received +0d
now +1d
ingest muster-test-2-1-1 from test at +1d, received +1d
ingest b from test at +1d, received +1d; a from test at +0d, received +1d; muster-test-line-5 from test at +1d, received +1d
now +2d
now +90d
ingest far from test at +46d, received +90d; muster-test-line-5 from test at +90d, received +90d; c from test at +1d1s, received +90d
close
`
		equal(t, name, got, want)
	}
}

func TestAFileOfManyCallsComesInBatches(t *testing.T) {
	var text strings.Builder
	for i := range 4001 {
		text.WriteString(call(fmt.Sprint("m", i), "2026-02-01T00:00:00Z"))
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got := played(t, dir, "steps: [{at: +0d, events_file: f}]")
	if !strings.Contains(got, "ingest 2000 calls, m0 to m1999\ningest 2000 calls, m2000 to m3999\ningest m4000 from test") {
		t.Error(got)
	}
}

func TestBadFilesOfCalls(t *testing.T) {
	for want, text := range map[string]string{
		"DIR/f:2: missing_event at event":            call("a", "") + `{"type":"track","userId":"u"}` + "\n",
		"DIR/f:1: invalid_json":                      "no json\n",
		"DIR/f:2: the line has more than 1048576":    call("a", "") + `{"x":"` + strings.Repeat("x", 1<<20) + `"}`,
		"DIR/f: gzip: invalid header":                "\x1f\x8b and nothing more of gzip",
		"x.yaml:6: step 1 at +0d: events_file: DIR/": "[]\n",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := played(t, dir, "steps:\n- {at: +0d, events_file: f}"); !strings.Contains(got, want) {
			t.Errorf("got %.600s\nwant %s", got, want)
		}
	}
}

func TestWhatToMeans(t *testing.T) {
	for _, c := range []struct {
		ids  identity.Combination
		want identity.ID
	}{
		{identity.Combination{UserID: "u", AnonymousID: "v", Email: "E@x.test"}, email("e@x.test")},
		{identity.Combination{UserID: "u", AnonymousID: "v"}, user("u")},
		{identity.Combination{AnonymousID: "v"}, anon("v")},
		{identity.Combination{AnonymousID: "v", Email: "e@x.test"}, email("e@x.test")},
	} {
		if got := (scenario.Sent{IDs: c.ids, Value: query.Bool(true)}).To(); got != c.want {
			t.Errorf("%v is for %v", c.ids, got)
		}
	}
}
