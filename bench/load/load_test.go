package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"muster/config"
	"muster/event"
	"muster/query"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestConfigurationIsWhatIsPromised(t *testing.T) {
	c, err := config.Parse("muster.yaml", []byte(configuration), func(name string) (string, bool) {
		return "http://127.0.0.1:9", name == "MIXPANEL_URL"
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, s := range c.Sources {
		keys = append(keys, string(s.WriteKey))
	}
	if !slices.Equal(keys, writeKeys) {
		t.Errorf("the sources have the keys %v, requests %v", keys, writeKeys)
	}
	classes := map[query.Class]int{}
	for _, def := range c.Definitions() {
		d, faults := query.Compile(def.Query, query.CheckOptions{Purpose: def.Kind})
		if d == nil {
			t.Errorf("%s: %v", def.Name, faults)
			continue
		}
		classes[d.Class]++
	}
	if classes[query.Realtime] != 10 || classes[query.Scheduled] != 30 {
		t.Errorf("the classes are %v, want 10 realtime and 30 scheduled", classes)
	}
}

func TestBodiesAreTaken(t *testing.T) {
	env := event.Envelope{ReceivedAt: noon}
	seen := make(map[string]bool)
	fresh := func(calls []*event.Call) {
		for _, c := range calls {
			if seen[c.MessageID] {
				t.Fatalf("the message id %s is used twice", c.MessageID)
			}
			seen[c.MessageID] = true
		}
	}
	for name, requests := range map[string][]request{
		"batches":       (&run{batch: 100, events: 2_000, users: 1_000, seed: 1}).requests(noon),
		"singles":       (&run{batch: 1, single: true, events: 500, users: 1_000, seed: 2}).requests(noon),
		"introductions": (&run{users: 1_200}).introductions(noon),
	} {
		calls := 0
		for _, r := range requests {
			calls += r.calls
			if r.path == "/v1/t" {
				env.Type = event.Track
				b, err := event.DecodeMessage(r.body, env)
				if err != nil || len(b.Calls) != 1 {
					t.Fatalf("%s: %v, %d calls: %s", name, err, len(b.Calls), r.body)
				}
				fresh(b.Calls)
				continue
			}
			env.Type = ""
			b, err := event.DecodeBatch(r.body, env)
			if err != nil || len(b.Refused) > 0 || len(b.Calls) != r.calls {
				t.Fatalf("%s: %v, %d of %d calls taken: %s", name, err, len(b.Calls), r.calls, r.body)
			}
			fresh(b.Calls)
		}
		if want := map[string]int{"batches": 2_000, "singles": 500, "introductions": 1_200}[name]; calls != want {
			t.Errorf("%s: %d calls, want %d", name, calls, want)
		}
	}
}

func TestRefusedRequestsAreSentAgain(t *testing.T) {
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if n.Add(1)%5 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	o, err := newClients(server.URL, 3).send(t.Context(), make([]request, 40), 0)
	if err != nil {
		t.Fatal(err)
	}
	if o.Again == 0 || int(n.Load()) != 40+o.Again || len(o.Answered) != 40 {
		t.Errorf("%d requests arrived, %d were sent again", n.Load(), o.Again)
	}
	if o.quantile(1) < 100*time.Millisecond {
		t.Errorf("the longest wait, %v, leaves the time out in which requests were refused", o.quantile(1))
	}
}

// A server that stops for a moment is seen by all requests that were due meanwhile.
func TestWaitsBeginWhenRequestsAreDue(t *testing.T) {
	const pause = 300 * time.Millisecond
	var first atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if first.CompareAndSwap(false, true) {
			time.Sleep(pause)
		}
	}))
	defer server.Close()
	o, err := newClients(server.URL, 1).send(t.Context(), make([]request, 30), 100)
	if err != nil {
		t.Fatal(err)
	}
	if o.quantile(0.5) < pause/4 {
		t.Errorf("half of the requests waited %v or less, though the server stood still for %v", o.quantile(0.5), pause)
	}
}

func TestOtherAnswersEndTheRun(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if _, err := newClients(server.URL, 2).send(context.Background(), make([]request, 3), 0); err == nil {
		t.Error("a request that was answered 404 counts as done")
	}
}

func TestQuantile(t *testing.T) {
	o := outcome{}
	for i := range 200 {
		o.Answered = append(o.Answered, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 101, 0.99: 199, 1: 200} {
		if got := o.quantile(q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
}
