package mixpanel

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/engine"
	"muster/event"
)

func newDestination(t *testing.T, s Settings) *Destination {
	t.Helper()
	s.Token = "tok_demo"
	d, err := NewDestination(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func readCalls(t *testing.T, texts ...string) []*event.Call {
	t.Helper()
	calls := make([]*event.Call, len(texts))
	for i, text := range texts {
		calls[i] = readCall(t, withDefaults(t, text))
	}
	return calls
}

// summary says in short what a request carried: "/engage a:$set b:$add".
func (n seen) summary() string {
	words := []string{n.path}
	for _, r := range n.records {
		if name, isEvent := r["event"].(string); isEvent {
			words = append(words, name)
			continue
		}
		for _, operation := range []string{"$set", "$set_once", "$union", "$unset", "$add", "$append"} {
			if r[operation] != nil {
				words = append(words, fmt.Sprint(r["$distinct_id"], r["$group_id"], ":", operation))
			}
		}
	}
	return strings.ReplaceAll(strings.Join(words, " "), "<nil>", "")
}

func summaries(s *server) []string {
	var all []string
	for _, r := range s.requests() {
		all = append(all, r.summary())
	}
	return all
}

func TestSendGroupsAndKeepsOrder(t *testing.T) {
	s := listen(t, good)
	d := newDestination(t, Settings{
		BaseURL: s.URL, EventIncrements: []string{"Inc"}, GroupIdentifierTraits: []string{"team"}, AliasSettle: new(Duration(0)),
		MaxProfilesPerRequest: 3,
	})
	outcomes := d.Send(t.Context(), readCalls(t,
		`{"type":"track","event":"Inc","userId":"a","properties":{"revenue":1}}`,
		`{"type":"identify","userId":"a","traits":{"x":1,"l":["y"]}}`,
		`{"type":"track","event":"Plain","userId":"b","integrations":{"Mixpanel":false}}`,
		`{"type":"track","event":"Plain","userId":"null"}`,
		`{"type":"group","userId":"a","traits":{"team":"t"}}`,
		`{"type":"track","event":"Inc","userId":"b"}`,
		`{"type":"alias","userId":"c","previousId":"p"}`,
		`{"type":"identify","userId":"c","traits":{"x":1}}`,
		`{"type":"track","event":"Plain","userId":"c"}`,
	), testNow)
	if got := verdicts(outcomes); got != "DDDXDDDDD" || outcomes[3].Code != string(CodeBadDistinctID) {
		t.Fatalf("%s %+v", got, outcomes)
	}
	want := []string{
		"/import Inc Inc",
		"/engage a:$set b:$set", "/groups t:$set", // before the increments of the same calls
		"/engage a:$add a:$append b:$add",
		"/engage a:$set a:$union", // after a's increments
		"/track $create_alias",
		"/import Plain",
		"/engage c:$set",
	}
	if got := summaries(s); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// failing answers with code from the n-th request whose summary contains text.
func failing(text string, code int) func(http.ResponseWriter, seen, int) {
	return func(w http.ResponseWriter, r seen, n int) {
		if strings.Contains(r.summary(), text) {
			w.WriteHeader(code)
			return
		}
		good(w, r, n)
	}
}

func TestOutcomesOfCalls(t *testing.T) {
	const (
		counting = `{"type":"track","event":"Inc","userId":"a","properties":{"revenue":1}}`
		plain    = `{"type":"identify","userId":"b","traits":{"x":1}}`
		later    = `{"type":"identify","userId":"a","traits":{"x":1}}`
	)
	tests := []struct {
		name   string
		answer func(http.ResponseWriter, seen, int)
		calls  []string
		want   string
		code   string // of the first call
	}{
		{"the event is down: nothing else is sent", failing("Inc", 503), []string{counting, plain}, "RR", "server_error"},
		{"the event is refused: the rest of the call is not sent, others are", func(w http.ResponseWriter, r seen, n int) {
			if r.path == "/engage" && strings.Contains(r.summary(), "a:") {
				t.Error("sent", r.summary())
			}
			failing("Inc", 400)(w, r, n)
		}, []string{counting, plain}, "XD", "refused"},
		{"counters rate limited: repeating the rest is harmless", failing("$add", 429), []string{counting, plain}, "RD", "rate_limited"},
		{"counters down: nobody knows", failing("$add", 503), []string{counting, plain}, "UD", "server_error"},
		{"a charge after a counter, in another request: partly counted", failing("$append", 429), []string{counting}, "U", "partly_applied"},
		{"a charge refused after a counter", failing("$append", 400), []string{counting}, "U", "partly_applied"},
		{"a parked counter keeps the loop off what follows", failing("$add", 503), []string{counting, later}, "UR", "server_error"},
		{"credentials", failing("", 401), []string{plain, counting}, "HH", "unauthorized"},
		{"a call that maps to nothing is done even then", failing("", 503), []string{`{"type":"group","userId":"a"}`, plain}, "DR", ""},
		{"an alias that fails holds back what follows", failing("$create_alias", 503), []string{`{"type":"alias","userId":"a","previousId":"p"}`, later}, "RR", "server_error"},
		{"an alias that is refused holds back nothing", failing("$create_alias", 400), []string{`{"type":"alias","userId":"a","previousId":"p"}`, later}, "XD", "refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := listen(t, test.answer)
			settings := Settings{BaseURL: s.URL, EventIncrements: []string{"Inc"}, AliasSettle: new(Duration(0))}
			if test.code == "partly_applied" {
				settings.MaxProfilesPerRequest = 1
			}
			outcomes := newDestination(t, settings).Send(t.Context(), readCalls(t, test.calls...), testNow)
			if got := verdicts(outcomes); got != test.want || outcomes[0].Code != test.code {
				t.Errorf("got %s, want %s %s: %+v\n%s", got, test.want, test.code, outcomes, strings.Join(summaries(s), "\n"))
			}
		})
	}
}

func TestWavesKeepEveryProfilesOrder(t *testing.T) {
	set, add := ClassProfile, ClassIncrement
	var group []parcel
	for i, c := range []Class{set, set, add, set, add, add, set, set} {
		group = append(group, parcel{i, Message{Endpoint: Engage, Class: c, DistinctID: "a"}})
	}
	group = append(group, parcel{8, Message{Endpoint: Engage, Class: add, DistinctID: "b"}}, parcel{9, Message{Endpoint: Import, DistinctID: "a"}})
	var got [][]int
	for _, wave := range waves(group) {
		var calls []int
		for _, p := range wave {
			calls = append(calls, p.call)
		}
		got = append(got, calls)
	}
	if want := "[[0 1] [2 8] [3] [4 5] [6 7]]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestIdentityEventsAreSentOnce(t *testing.T) {
	s := listen(t, good)
	d := newDestination(t, Settings{BaseURL: s.URL, IDMerge: MergeOriginal, AliasSettle: new(Duration(0))})
	calls := readCalls(t,
		`{"type":"identify","userId":"u","anonymousId":"a","traits":{"x":1}}`,
		`{"type":"alias","userId":"v","previousId":"a"}`,
	)
	for round := range 3 {
		for i, c := range calls {
			if d.Joins(c) != (round == 0) {
				t.Errorf("round %d: call %d is a barrier: %v", round, i, round != 0)
			}
		}
		if got := verdicts(d.Send(t.Context(), calls, testNow)); got != "DD" {
			t.Fatal(got)
		}
	}
	want := []string{"/import $merge", "/engage u:$set", "/track $create_alias", "/engage u:$set", "/engage u:$set"}
	if got := summaries(s); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, c := range readCalls(t,
		`{"type":"identify","userId":"u"}`, `{"type":"track","event":"E","userId":"u","anonymousId":"b"}`, `{"type":"alias","userId":"u","previousId":"u"}`,
	) {
		if d.Joins(c) {
			t.Errorf("%s is a barrier", c.Type)
		}
	}
	simplified := newDestination(t, Settings{IDMerge: MergeSimplified})
	if simplified.Joins(calls[1]) {
		t.Error("under simplified id merge an alias is an ordinary event")
	}
}

func TestAnAliasThatFailsIsSentAgain(t *testing.T) {
	down := true
	s := listen(t, func(w http.ResponseWriter, r seen, n int) {
		if down {
			w.WriteHeader(503)
			return
		}
		good(w, r, n)
	})
	d := newDestination(t, Settings{BaseURL: s.URL, AliasSettle: new(Duration(0))})
	calls := readCalls(t, `{"type":"alias","userId":"u","previousId":"a"}`)
	if got := verdicts(d.Send(t.Context(), calls, testNow)); got != "R" || !d.Joins(calls[0]) {
		t.Fatal(got)
	}
	down = false
	if got := verdicts(d.Send(t.Context(), calls, testNow)); got != "D" || d.Joins(calls[0]) {
		t.Fatal(got)
	}
}

func TestAliasSettles(t *testing.T) {
	const settle = 150 * time.Millisecond
	times := make(map[string]time.Time)
	s := listen(t, func(w http.ResponseWriter, r seen, n int) {
		times[r.summary()] = time.Now()
		good(w, r, n)
	})
	d := newDestination(t, Settings{BaseURL: s.URL, AliasSettle: new(Duration(settle))})
	start := time.Now()
	outcomes := d.Send(t.Context(), readCalls(t,
		`{"type":"alias","userId":"a","previousId":"p"}`,
		`{"type":"alias","userId":"b","previousId":"q"}`,
		`{"type":"identify","userId":"other","traits":{"x":1}}`,
		`{"type":"alias","userId":"c","previousId":"r"}`,
		`{"type":"identify","anonymousId":"r","traits":{"x":1}}`,
	), testNow)
	if got := verdicts(outcomes); got != "DDDDD" {
		t.Fatal(got)
	}
	took := time.Since(start)
	if wait := times["/engage other:$set"].Sub(start); wait > settle/2 {
		t.Errorf("a stranger waited %v", wait)
	}
	if wait := times["/engage r:$set"].Sub(start); wait < settle {
		t.Errorf("the aliased id waited only %v", wait)
	}
	if took > 3*settle {
		t.Errorf("waited %v: aliases of different ids must settle together", took)
	}

	start = time.Now()
	d.Send(t.Context(), readCalls(t, `{"type":"alias","userId":"e","previousId":"s"}`), testNow)
	if took := time.Since(start); took < settle {
		t.Errorf("Send returned after %v, before the alias settled", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), settle/3)
	defer cancel()
	outcomes = d.Send(ctx, readCalls(t, `{"type":"alias","userId":"f","previousId":"t"}`, `{"type":"identify","userId":"f","traits":{"x":1}}`), testNow)
	if got := verdicts(outcomes); got != "DR" || outcomes[1].Code != codeCanceled {
		t.Errorf("got %s: %+v", got, outcomes)
	}
}

func TestWarningsAreTold(t *testing.T) {
	s := listen(t, good)
	d := newDestination(t, Settings{BaseURL: s.URL})
	odd := `{"type":"track","event":"E","properties":{"length":1,"bucket":2,"$ignore":3}}`
	told := make(map[string]int)
	d.OnWarning(func(name string) { told[name]++ })
	d.Send(t.Context(), readCalls(t, odd, odd, `{"type":"track","event":"E"}`), testNow)
	if diff := cmp.Diff(map[string]int{"reserved_name": 2, "ignored_by_mixpanel": 2}, told); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestLinksForgetTheOldest(t *testing.T) {
	var l links
	for i := range 2*maxYoungLinks + 1 {
		l.remember(pair{"a", fmt.Sprint(i)})
	}
	if l.known(pair{"a", "0"}) || !l.known(pair{"a", fmt.Sprint(maxYoungLinks + 1)}) || len(l.young)+len(l.old) > 2*maxYoungLinks {
		t.Errorf("%d young, %d old", len(l.young), len(l.old))
	}
}

func TestSeverityKnowsEveryVerdict(t *testing.T) {
	for v := engine.Delivered; v <= engine.Halt; v++ {
		if severity(v) < 0 {
			t.Errorf("verdict %d", v)
		}
	}
}

// What would count twice must not be repeated blindly; everything else may be.
func TestRepeatable(t *testing.T) {
	counting := Settings{EventIncrements: []string{"Audience Entered"}, PropIncrements: []string{"orders"}}
	for _, test := range []struct {
		settings Settings
		call     string
		want     bool
	}{
		{Settings{}, `{"type":"track","messageId":"m","event":"E","userId":"u","properties":{"plan":"pro"}}`, true},
		{Settings{}, `{"type":"track","messageId":"m","event":"E","userId":"u","properties":{"revenue":3}}`, false},
		{Settings{}, `{"type":"track","messageId":"m","event":"E","userId":"u","properties":{"Revenue":"$3"}}`, false},
		{Settings{}, `{"type":"track","messageId":"m","event":"E","userId":"u","properties":{"r\u0065venue":3}}`, false},
		{Settings{}, `{"type":"track","messageId":"m","event":"E","userId":"u","properties":{"revenue":0}}`, true},
		{Settings{}, `{"type":"track","messageId":"m","event":"E","userId":"u","properties":{"note":"no revenue"}}`, true},
		{Settings{People: new(false)}, `{"type":"track","messageId":"m","event":"E","userId":"u","properties":{"revenue":3}}`, true},
		{counting, `{"type":"track","messageId":"m","event":"audience entered","userId":"u"}`, false},
		{counting, `{"type":"track","messageId":"m","event":"audience entered","anonymousId":"a"}`, true}, // known users only
		{counting, `{"type":"track","messageId":"m","event":"Trait Computed","userId":"u","properties":{"trait_key":"orders","orders":4}}`, false},
		{counting, `{"type":"track","messageId":"m","event":"Trait Computed","userId":"u","properties":{"trait_key":"orders","orders":null}}`, true},
		{counting, `{"type":"identify","messageId":"m","userId":"u","traits":{"orders":4,"revenue":5}}`, true},
	} {
		if got := newDestination(t, test.settings).Repeatable(readCall(t, test.call)); got != test.want {
			t.Errorf("%s: %v", test.call, got)
		}
	}
}
