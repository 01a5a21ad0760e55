package ingest

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// stall opens connections that send the beginning of a body and then nothing more.
func (s *site) stall(t *testing.T, n int, header, beginning string) (hangUp func()) {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST /v1/batch HTTP/1.1\r\nHost: x\r\n%sContent-Length: 400000\r\n\r\n%s", header, beginning); err != nil {
			t.Fatal(err)
		}
		conns[i] = conn
	}
	return func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// inUse waits until the memory for bodies that is in use is as much as it should be.
func inUse(t *testing.T, api *API, is func(bytes int64) bool) {
	t.Helper()
	for began := time.Now(); !is(api.room.used.Load()); time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d bytes are in use", api.room.used.Load())
		}
	}
}

// Clients that announce much, send little and stall keep nobody out, however many they are.
func TestStalledRequestsKeepNobodyOut(t *testing.T) {
	s := open(t, func(c *APIConfig, _ *CollectorConfig, _ *memory) { c.MaxConcurrent = 2 })
	api := s.api
	hangUp := s.stall(t, 100, "", `{"batch":[`)
	defer hangUp()
	inUse(t, api, func(bytes int64) bool { return bytes == 100*firstBuffer })
	expect(t, s.post(t, "/v1/page", visit("a")), 200, "")
	expect(t, s.send(t, "POST", "/v1/page", strings.NewReader(`{"writeKey":"wk2",`+visit("b")[1:])), 200, "")
}

// Bodies share a bounded memory. Half of it is for clients that have said who they are,
// before any of their bodies is read.
func TestBodiesAreBoundedTogether(t *testing.T) {
	s := open(t, func(c *APIConfig, _ *CollectorConfig, _ *memory) { c.MaxBodies = 400 << 10 })
	api := s.api
	keyed := `{"writeKey":"wk2",` + visit("k")[1:]
	much := `{"batch":[` + strings.Repeat(" ", 60<<10)

	strangers := s.stall(t, 3, "", much)
	inUse(t, api, func(bytes int64) bool { return bytes >= 128<<10 })
	g := s.send(t, "POST", "/v1/batch", io.MultiReader(strings.NewReader(much), strings.NewReader(`]}`)))
	expect(t, g, 503, CodeUnavailable)
	if g.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	expect(t, s.post(t, "/v1/page", visit("a")), 200, "") // the key is in its header
	known := s.stall(t, 4, basic("wk1")+"\r\n", much)
	inUse(t, api, func(bytes int64) bool { return bytes > 380<<10 })
	expect(t, s.post(t, "/v1/batch", much+`]}`), 503, CodeUnavailable)

	strangers()
	known()
	inUse(t, api, func(bytes int64) bool { return bytes == 0 })
	expect(t, s.send(t, "POST", "/v1/page", strings.NewReader(keyed)), 200, "")
	expect(t, s.post(t, "/v1/batch", much+`]}`), 200, "")
	if ids := s.messageIDs(); len(ids) != 2 {
		t.Errorf("stored %v", ids)
	}
	inUse(t, api, func(bytes int64) bool { return bytes == 0 })
}

// Texts of all lengths around those of the buffers are read whole, whatever is announced.
func TestReadUpTo(t *testing.T) {
	r := &room{size: 1 << 40}
	for _, length := range []int{0, 1, 2, firstBuffer - 1, firstBuffer, firstBuffer + 1, 4 * firstBuffer, 4*firstBuffer + 1, 99_999, 100_000, 100_001, 200_000} {
		for _, announced := range []int{-1, 0, 10, length / 3, length, length * 2} {
			text := strings.Repeat("x", length)
			h := &hold{room: r}
			raw, err := readUpTo(strings.NewReader(text), 100_000, announced, h)
			if err != nil || string(raw) != text[:min(length, 100_001)] {
				t.Errorf("%d bytes, announced as %d: %d bytes, %v", length, announced, len(raw), err)
			}
			if h.bytes != int64(cap(raw)) || h.bytes > 100_001 {
				t.Errorf("%d bytes, announced as %d: %d are held of %d", length, announced, h.bytes, cap(raw))
			}
			h.release()
		}
	}
	if n := r.used.Load(); n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
}
