package ingest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"muster/event"
	"muster/ingest/ingesttest"
)

// Whatever comes, healthy messages beside it are stored and everything is answered as
// it should be.
func TestMalformedRequests(t *testing.T) {
	requests, clients := amount(1_000, 10_000), 32
	s := open(t)
	before := runtime.NumGoroutine()
	var mu sync.Mutex
	want := map[string]bool{} // message ids that must be stored
	var g errgroup.Group
	for client := range clients {
		g.Go(func() error {
			dice := rand.New(rand.NewPCG(uint64(client), 7))
			for n := client; n < requests; n += clients {
				first, last := fmt.Sprint("first-", n), fmt.Sprint("last-", n)
				bad := ingesttest.Spoil(dice)
				path, body := "/v1/batch", batch(visit(first), bad.Text, visit(last))
				status, code := 200, event.Code("")
				alone := dice.IntN(3) == 0 && bad.Alone()
				switch {
				case alone:
					path, body = bad.Path(), bad.Text
					status, code = 400, bad.Code
				case bad.Whole:
					status, code = 400, bad.Code
				}
				header := []string{basic("wk1")}
				if dice.IntN(4) == 0 {
					body, header = zip(body), append(header, "Content-Encoding: gzip")
				}
				g := s.send(t, http.MethodPost, path, strings.NewReader(body), header...)
				if g.status != status || g.code(t) != code {
					return fmt.Errorf("%s %.300q: answer %d %s, want %d %s", path, bad.Text, g.status, g.body, status, code)
				}
				if !alone && !bad.Whole {
					mu.Lock()
					want[first], want[last] = true, true
					mu.Unlock()
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, id := range s.messageIDs() {
		if !want[id] {
			t.Fatalf("%s is stored", id)
		}
		delete(want, id)
	}
	if len(want) > 0 {
		t.Errorf("%d healthy neighbours are lost", len(want))
	}
	seen := map[event.Code]int{}
	for _, x := range s.all() {
		for _, r := range x.Refused {
			seen[r.Code]++
		}
		if x.Whole != nil {
			seen[x.Whole.Code]++
		}
	}
	if len(seen) < 15 {
		t.Errorf("only these codes came up: %v", seen)
	}
	transport.CloseIdleConnections()
	s.server.CloseClientConnections()
	if after := runtime.NumGoroutine(); after > before+2*clients {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

// A healthy request with random bytes changed is answered 200, 400, 401 or 415, and
// what is stored of it could be stored anywhere.
func TestMutatedRequests(t *testing.T) {
	s := open(t)
	healthy := `{"batch":[` + visit("a") + `,{"type":"track","userId":17,"event":"E","timestamp":"2026-03-01T11:00:00Z",` +
		`"properties":{"a":[1.5e3,true,null,{"b":"\u00e9\\"}]},"context":{"library":{"name":"analytics.js"}}}],` +
		`"writeKey":"wk1","sentAt":"2026-03-01T11:59:59Z","context":{"app":{"name":"x"}},"integrations":{"All":true}}`
	for n := range amount(1_000, 30_000) {
		dice := rand.New(rand.NewPCG(uint64(n), 3))
		body := ingesttest.Mutate(dice, healthy)
		path := []string{"/v1/batch", "/v1/track", "/v1/b", "/v1/identify"}[dice.IntN(4)]
		header := [][]string{{basic("wk1")}, {}, {"Content-Encoding: gzip"}, {"Authorization: Basic " + string("{}[],:0159-+.eE"[dice.IntN(15)])}}[dice.IntN(4)]
		g := s.send(t, http.MethodPost, path, strings.NewReader(body), header...)
		g.code(t)
		switch g.status {
		case 200, 400, 401, 415:
		default:
			t.Fatalf("%s %q: answer %d %s", path, body, g.status, g.body)
		}
		if valid := json.Valid([]byte(body)); !valid && g.status == 200 {
			t.Fatalf("%s %q: taken, though it is no JSON", path, body)
		}
	}
	for _, it := range s.stored {
		for _, v := range [][]byte{it.Call.Properties, it.Call.Traits, it.Call.Context} {
			if v != nil && (!json.Valid(v) || v[0] != '{') {
				t.Fatalf("stored %s", v)
			}
		}
	}
}
