package ingest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"muster/event"
)

// padded is a message or batch of exactly size bytes.
func padded(form string, size int) string {
	return strings.Replace(form, "PAD", strings.Repeat("x", size-len(form)+len("PAD")), 1)
}

func TestSizes(t *testing.T) {
	const message = `{"type":"page","userId":"u","properties":{"a":"PAD"}}`
	const batched = `{"batch":[{"type":"page","userId":"u"}],"note":"PAD"}`
	chunked := func(s string) io.Reader { return struct{ io.Reader }{strings.NewReader(s)} }
	noise := func(size int) string { // which gzip cannot shrink much
		form := batched
		var b strings.Builder
		for x := uint64(1); b.Len() < size-len(form)+3; x = x*6364136223846793005 + 1442695040888963407 {
			b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[x>>58])
		}
		return strings.Replace(form, "PAD", b.String(), 1)
	}
	tests := []struct {
		name, path string
		body       io.Reader
		zipped     bool
		status     int
		code       event.Code
	}{
		{"message, 32,768", "/v1/page", strings.NewReader(padded(message, 32_768)), false, 200, ""},
		{"message, 32,769", "/v1/page", strings.NewReader(padded(message, 32_769)), false, 400, event.CodeMessageTooLarge},
		{"message, 32,768, chunked", "/v1/page", chunked(padded(message, 32_768)), false, 200, ""},
		{"message, 32,769, chunked", "/v1/page", chunked(padded(message, 32_769)), false, 400, event.CodeMessageTooLarge},
		{"message, 32,768, zipped", "/v1/page", strings.NewReader(zip(padded(message, 32_768))), true, 200, ""},
		{"message, 32,769, zipped", "/v1/page", strings.NewReader(zip(padded(message, 32_769))), true, 400, event.CodeMessageTooLarge},
		{"batch, 512,000", "/v1/batch", strings.NewReader(padded(batched, 512_000)), false, 200, ""},
		{"batch, 512,001", "/v1/batch", strings.NewReader(padded(batched, 512_001)), false, 400, event.CodeBatchTooLarge},
		{"batch, 512,001, chunked", "/v1/batch", chunked(padded(batched, 512_001)), false, 400, event.CodeBatchTooLarge},
		{"batch, 512,000, zipped", "/v1/batch", strings.NewReader(zip(noise(512_000))), true, 200, ""},
		{"batch, 512,001, zipped", "/v1/batch", chunked(zip(noise(512_001))), true, 400, event.CodeBatchTooLarge},
		{"2,500 messages", "/v1/batch", strings.NewReader(batch(strings.Repeat(`{"type":"page","userId":"u"},`, 2_499) + visit("m"))), false, 200, ""},
		{"2,501 messages", "/v1/batch", strings.NewReader(batch(strings.Repeat(`{"type":"page","userId":"u"},`, 2_500) + visit("m"))), false, 200, event.CodeTooManyEvents},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // a server closes a connection with a body that it has not read only after half a second
			s := open(t)
			header := []string{basic("wk1")}
			if tt.zipped {
				header = append(header, "Content-Encoding: gzip")
			}
			expect(t, s.send(t, http.MethodPost, tt.path, tt.body, header...), tt.status, tt.code)
			if stored := len(s.messageIDs()); (stored > 0) != (tt.code == "") {
				t.Errorf("%d calls stored", stored)
			}
			if x := s.all(); len(x) != 1 || (x[0].Whole != nil) != (tt.code != "") {
				t.Errorf("recorded %+v", x)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	s := open(t)
	good := zip(visit("m"))
	// Joined gzip files are one gzip file: 300 KB here become 300 MB.
	bomb := strings.Repeat(zip(strings.Repeat("\x00", 1<<20)), 300)
	for _, tt := range []struct {
		name, path, encoding, body string
		status                     int
		code                       event.Code
	}{
		{"upper case", "/v1/page", "GZIP", good, 200, ""},
		{"identity", "/v1/page", "identity", visit("n"), 200, ""},
		{"deflate", "/v1/page", "deflate", visit("m"), 415, CodeUnsupportedEncoding},
		{"twice", "/v1/page", "gzip, gzip", good, 415, CodeUnsupportedEncoding},
		{"not gzip", "/v1/page", "gzip", visit("m"), 400, event.CodeInvalidFormat},
		{"empty", "/v1/page", "gzip", "", 400, event.CodeInvalidFormat},
		{"cut off", "/v1/page", "gzip", good[:len(good)-9], 400, event.CodeInvalidFormat},
		{"bad checksum", "/v1/page", "gzip", good[:len(good)-8] + "12345678", 400, event.CodeInvalidFormat},
		{"bomb", "/v1/batch", "gzip", bomb, 400, event.CodeBatchTooLarge},
		{"many empty members", "/v1/page", "gzip", strings.Repeat(zip(""), 20_000), 400, event.CodeMessageTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			expect(t, s.post(t, tt.path, tt.body, "Content-Encoding: "+tt.encoding), tt.status, tt.code)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
				t.Errorf("%d bytes allocated", grown)
			}
		})
	}
}

func TestRateOfASource(t *testing.T) {
	s := open(t) // "slow" may send one request in two seconds
	send := func() got {
		return s.send(t, http.MethodPost, "/v1/page", strings.NewReader(`{"userId":"u"}`), basic("slow"))
	}
	expect(t, send(), 200, "")
	g := send()
	expect(t, g, 429, CodeRateLimited)
	if g.header.Get("Retry-After") != "2" || g.header.Get("X-RateLimit-Reset") != "2" {
		t.Errorf("headers %v", g.header)
	}
	// The key in the body counts for the same bucket, other sources have their own.
	expect(t, s.send(t, http.MethodPost, "/v1/page", strings.NewReader(`{"userId":"u","writeKey":"slow"}`)), 429, CodeRateLimited)
	expect(t, s.post(t, "/v1/page", visit("m")), 200, "")
	s.clock.Store(int64(1500 * time.Millisecond))
	if g := send(); g.header.Get("Retry-After") != "1" {
		t.Errorf("headers %v", g.header)
	}
	s.clock.Store(int64(2 * time.Second))
	expect(t, send(), 200, "")
	expect(t, send(), 429, CodeRateLimited)
	if stored := len(s.messageIDs()); stored != 3 {
		t.Errorf("%d calls stored", stored)
	}
}

func TestChangedRateApplies(t *testing.T) {
	p := pacer{standard: 70}
	src := Source{ID: 1, Rate: 1}
	if p.wait(src, noon) != 0 || p.wait(src, noon) != time.Second {
		t.Fatal("one request a second is not kept")
	}
	src.Rate = 10
	if got := p.wait(src, noon); got != 100*time.Millisecond {
		t.Errorf("at the new rate the client waits %v", got)
	}
	later := noon.Add(100 * time.Millisecond)
	if p.wait(src, later) != 0 || p.wait(src, later) == 0 {
		t.Error("the new rate is not kept")
	}
	free := 0
	for p.wait(Source{ID: 2}, noon) == 0 {
		free++
	}
	if free != 70 {
		t.Errorf("a source without a rate may send %d at once", free)
	}
}

// A client that sends its request byte by byte is cut off, in its header or its body.
func TestSlowClients(t *testing.T) {
	s := open(t)
	slow := httptest.NewUnstartedServer(s.server.Config.Handler)
	slow.Config.ReadHeaderTimeout, slow.Config.ReadTimeout = 100*time.Millisecond, 200*time.Millisecond
	Harden(slow.Config)
	slow.Start()
	defer slow.Close()
	if slow.Config.IdleTimeout != IdleTimeout || slow.Config.ReadTimeout != 200*time.Millisecond {
		t.Errorf("hardened to %+v", slow.Config)
	}
	for name, start := range map[string]string{
		"header": "POST /v1/page HTTP/1.1\r\nHost: x\r\nX-A: ",
		"body":   "POST /v1/page HTTP/1.1\r\nHost: x\r\n" + basic("wk1") + "\r\nContent-Length: 30000\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", slow.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, start); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
						_, _ = conn.Write([]byte(" "))
					}
				}
			}()
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("the connection stays open")
				}
				return // cut off without an answer
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusRequestTimeout {
				t.Errorf("answer %s", resp.Status)
			}
		})
	}
	if len(s.messageIDs()) != 0 {
		t.Error("half a request is stored")
	}
}

// A body that breaks off stores nothing.
func TestBrokenBody(t *testing.T) {
	s := open(t)
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /v1/batch HTTP/1.1\r\nHost: x\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", basic("wk1"))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer conn.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(text), string(CodeUnreadableBody)) {
		t.Errorf("answer %s %s", resp.Status, text)
	}
}

func TestTooManyRequestsAtOnce(t *testing.T) {
	s := open(t, func(c *APIConfig, _ *CollectorConfig, m *memory) {
		c.MaxConcurrent = 1
		m.gate, m.entered = make(chan struct{}), make(chan struct{}, 10)
	})
	first := make(chan got)
	go func() { first <- s.post(t, "/v1/page", visit("a")) }()
	<-s.entered
	g := s.post(t, "/v1/page", visit("b"))
	expect(t, g, 503, CodeUnavailable)
	if g.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(s.gate)
	expect(t, <-first, 200, "")
	expect(t, s.post(t, "/v1/page", visit("b")), 200, "")
}
