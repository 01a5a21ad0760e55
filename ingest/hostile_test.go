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
)

// spoiled is a message that must be refused with a code while its neighbours are
// stored; whole says that it spoils the whole body, which must be answered 400.
type spoiled struct {
	text  string
	code  event.Code
	whole bool
}

// spoil makes a malformed message of a random kind.
func spoil(dice *rand.Rand) spoiled {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	word := func() string {
		return []string{"", "x", "é", `\n`, `\\`, `\"`, "😀", strings.Repeat("w", dice.IntN(500))}[dice.IntN(8)]
	}
	with := func(member string) string {
		return fmt.Sprintf(`{"type":"track","userId":"u","event":"E","properties":{"a":"%s"},%s}`, word(), member)
	}
	switch dice.IntN(20) {
	case 0:
		return spoiled{with(`"context":{"a":"` + word() + "\xff" + `"}`), event.CodeInvalidUTF8, false}
	case 1:
		return spoiled{with(`"context":{"a":"\ud83d` + "x" + word() + `"}`), event.CodeInvalidUTF8, false}
	case 2:
		return spoiled{with(`"context":{"a` + word() + `":["\u0000"]}`), event.CodeInvalidCharacter, false}
	case 3:
		return spoiled{with(`"traits":{"b":1,"c":{},"b":2}`), event.CodeDuplicateKey, false}
	case 4:
		return spoiled{with(`"context":` + nested(event.MaxDepth+dice.IntN(5_000))), event.CodeTooDeep, false}
	case 5:
		return spoiled{with(fmt.Sprintf(`"context":{"n":-%d.5e%d}`, dice.IntN(10), 401+dice.IntN(1e6))), event.CodeNumberOutOfRange, false}
	case 6:
		return spoiled{with(`"context":{"n":` + strings.Repeat("7", 401+dice.IntN(1000)) + `}`), event.CodeNumberOutOfRange, false}
	case 7:
		return spoiled{with(`"context":{"x":"` + strings.Repeat("x", event.DefaultMaxBytes) + `"}`), event.CodeMessageTooLarge, false}
	case 8:
		return spoiled{fmt.Sprintf(`{"type":%q,"userId":"u"}`, []string{"", "Track", "charge", "track "}[dice.IntN(4)]), event.CodeInvalidType, false}
	case 9:
		return spoiled{`{"type":"track","event":"E","userId":"","anonymousId":null}`, event.CodeNoUserAnonID, false}
	case 10:
		return spoiled{`{"type":"track","userId":"u","event":` + []string{`""`, "null", "5", "{}", "[]"}[dice.IntN(5)] + `}`, event.CodeMissingEvent, false}
	case 11:
		return spoiled{`{"type":"track","event":"E","userId":` + []string{"{}", "[]", "true", `["u"]`}[dice.IntN(4)] + `}`, event.CodeInvalidField, false}
	case 12:
		return spoiled{with(`"context":` + []string{`"a"`, "1", "true", "[1]"}[dice.IntN(4)]), event.CodeInvalidField, false}
	case 13:
		return spoiled{with(`"messageId":"` + strings.Repeat("m", 101+dice.IntN(200)) + `"`), event.CodeMessageIDTooLong, false}
	case 14:
		return spoiled{with(`"timestamp":` + []string{`"1969-07-20"`, "-5", `"0002-01-01T00:00:00Z"`}[dice.IntN(3)]), event.CodeTimestampOutOfRange, false}
	case 15:
		return spoiled{[]string{"1", "null", `"x"`, "[]", "[{}]", "false"}[dice.IntN(6)], event.CodeInvalidMessage, false}
	case 16:
		return spoiled{`{"type":"group","userId":"u","groupId":` + []string{`"` + strings.Repeat("g", 501) + `"`}[0] + `}`, event.CodeGroupIDTooLong, false}
	case 17:
		return spoiled{[]string{"{", "}", `{"a"}`, `{"a":}`, `{a:1}`, "nul", "01", "+1", `{"a":1,}`, "'x'", `"\x"`, "\x00", "{]"}[dice.IntN(13)], event.CodeInvalidJSON, true}
	case 18:
		good := with(`"context":{"b":[1,{"c":null}]}`)
		return spoiled{good[:1+dice.IntN(len(good)-1)], event.CodeInvalidJSON, true}
	default:
		return spoiled{with("\"a\":\"line\nbreak\""), event.CodeInvalidJSON, true}
	}
}

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
				bad := spoil(dice)
				path, body := "/v1/batch", batch(visit(first), bad.text, visit(last))
				status, code := 200, event.Code("")
				alone := dice.IntN(3) == 0 && bad.code != event.CodeInvalidType
				switch {
				case alone:
					path, body = "/v1/track", bad.text
					status, code = 400, bad.code
					if bad.code == event.CodeGroupIDTooLong {
						path = "/v1/group"
					}
				case bad.whole:
					status, code = 400, bad.code
				}
				header := []string{basic("wk1")}
				if dice.IntN(4) == 0 {
					body, header = zip(body), append(header, "Content-Encoding: gzip")
				}
				g := s.send(t, http.MethodPost, path, strings.NewReader(body), header...)
				if g.status != status || g.code(t) != code {
					return fmt.Errorf("%s %.300q: answer %d %s, want %d %s", path, bad.text, g.status, g.body, status, code)
				}
				if !alone && !bad.whole {
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
	alphabet := "{}[]\",:\\0159-+.eEtfnu \x00\x7f\xff\xc3/<"
	for n := range amount(1_000, 30_000) {
		dice := rand.New(rand.NewPCG(uint64(n), 3))
		body := []byte(healthy)
		for range 1 + dice.IntN(4) {
			at := dice.IntN(len(body))
			switch dice.IntN(4) {
			case 0:
				body[at] = alphabet[dice.IntN(len(alphabet))]
			case 1:
				body = append(body[:at], body[at+1+dice.IntN(len(body)-at):]...)
			case 2:
				body = append(body[:at:at], append([]byte{alphabet[dice.IntN(len(alphabet))]}, body[at:]...)...)
			case 3:
				body = append(body, body[at:]...)
			}
			if len(body) == 0 {
				body = []byte{' '}
			}
		}
		path := []string{"/v1/batch", "/v1/track", "/v1/b", "/v1/identify"}[dice.IntN(4)]
		header := [][]string{{basic("wk1")}, {}, {"Content-Encoding: gzip"}, {"Authorization: Basic " + string(alphabet[dice.IntN(20)])}}[dice.IntN(4)]
		g := s.send(t, http.MethodPost, path, strings.NewReader(string(body)), header...)
		g.code(t)
		switch g.status {
		case 200, 400, 401, 415:
		default:
			t.Fatalf("%s %q: answer %d %s", path, body, g.status, g.body)
		}
		if valid := json.Valid(body); !valid && g.status == 200 {
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
