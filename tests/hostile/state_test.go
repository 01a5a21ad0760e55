package hostile_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/tests/served"
)

// state is what a process holds on to.
type state struct {
	goroutines, heap, files int64
}

func (s state) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MiB of heap, %d open files", s.goroutines, float64(s.heap)/(1<<20), s.files)
}

// rest is the least that the process holds within some seconds in which nothing is sent.
func rest(t *testing.T, m *served.Server) state {
	t.Helper()
	least := scrape(t, m.URL())
	steady := 0
	for range 40 {
		time.Sleep(100 * time.Millisecond)
		now := scrape(t, m.URL())
		steady++
		if now.goroutines < least.goroutines || now.files < least.files {
			steady = 0
		}
		least = state{min(least.goroutines, now.goroutines), min(least.heap, now.heap), min(least.files, now.files)}
		if steady == 10 {
			break
		}
	}
	return least
}

// scrape reads the process's own metrics, over a connection of its own.
func scrape(t *testing.T, url string) state {
	t.Helper()
	web := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := web.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var s state
	found := 0
	names := map[string]*int64{"go_goroutines": &s.goroutines, "go_memstats_heap_alloc_bytes": &s.heap, "process_open_fds": &s.files}
	in := bufio.NewScanner(answer.Body)
	for in.Scan() {
		name, value, _ := strings.Cut(in.Text(), " ")
		if into := names[name]; into != nil {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			*into = int64(f)
			found++
		}
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || in.Err() != nil || found != len(names) {
		t.Fatalf("/metrics answers %s, and says %d of %d things (%v)", answer.Status, found, len(names), in.Err())
	}
	return s
}
