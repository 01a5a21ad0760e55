package ground_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	clientCount = 6
	batchSize   = 5
	userCount   = 20
)

// traffic are clients that send batches of calls, one after the other. As Segment's
// libraries do, they send a batch again until it is answered 200.
type traffic struct {
	url  atomic.Pointer[string]
	quit atomic.Bool
	wait sync.WaitGroup
	web  *http.Client

	mu       sync.Mutex
	answered map[string]bool // ids of calls that were answered 200
	sent     map[string]bool // ids of all calls
	codes    map[int]int     // of the answers; 0: there was none
	faults   []string        // answers that should not be
	done     []batch         // those that were answered 200
}

// batch is a request.
type batch struct {
	ids  []string
	body string
}

// Calls are numbered through, so that the traffic of one test has ids of its own.
var batches atomic.Int64

func startTraffic(url string) *traffic {
	c := &traffic{
		answered: make(map[string]bool), sent: make(map[string]bool), codes: make(map[int]int),
		web: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clientCount}},
	}
	c.resume(url)
	return c
}

// resume lets the clients begin, or begin again.
func (c *traffic) resume(url string) {
	c.moveTo(url)
	c.quit.Store(false)
	for range clientCount {
		c.wait.Go(c.run)
	}
}

// moveTo tells the clients where the server is now.
func (c *traffic) moveTo(url string) { c.url.Store(&url) }

// answers is how many batches were answered 200 so far.
func (c *traffic) answers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codes[http.StatusOK]
}

// stop ends the clients once each has its batch answered, or has tried in vain.
func (c *traffic) stop() {
	c.quit.Store(true)
	c.wait.Wait()
	c.web.CloseIdleConnections()
}

func (c *traffic) run() {
	for !c.quit.Load() {
		n := batches.Add(1)
		ids, calls := make([]string, batchSize), make([]string, batchSize)
		for i := range batchSize {
			ids[i] = fmt.Sprintf("call-%d-%d", n, i)
			calls[i] = fmt.Sprintf(`{"type":"track","event":"Order Completed","userId":"user-%d","messageId":%q,"properties":{"revenue":1}}`, (int(n)+i*7)%userCount, ids[i])
		}
		body := fmt.Sprintf(`{"writeKey":%q,"batch":[%s]}`, writeKey, strings.Join(calls, ","))
		c.mu.Lock()
		for _, id := range ids {
			c.sent[id] = true
		}
		c.mu.Unlock()
		for !c.send(batch{ids, body}) && !c.quit.Load() {
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// send sends a batch once and tells whether it was answered 200.
func (c *traffic) send(b batch) bool {
	code, text, retry := 0, "", ""
	answer, err := c.web.Post(*c.url.Load()+"/v1/batch", "application/json", strings.NewReader(b.body))
	if err == nil {
		var all bytes.Buffer
		if _, err = io.Copy(&all, answer.Body); err == nil {
			code, text, retry = answer.StatusCode, all.String(), answer.Header.Get("Retry-After")
		}
		answer.Body.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[code]++
	switch {
	case code == http.StatusOK:
		for _, id := range b.ids {
			c.answered[id] = true
		}
		c.done = append(c.done, b)
	case code == http.StatusServiceUnavailable && retry != "" || code == 0:
	default:
		c.faults = append(c.faults, fmt.Sprintf("%d (Retry-After %q) %s", code, retry, text))
	}
	return code == http.StatusOK
}

// again sends batches that were answered 200 once more, as a client does that missed the answer.
func (c *traffic) again(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	done := c.done
	c.mu.Unlock()
	for _, b := range done[max(0, len(done)-30):] {
		if !c.send(b) {
			t.Fatal("a batch that was answered 200 is not answered 200 again")
		}
	}
}

// must fails the test unless so many more batches are answered 200, within 30 seconds.
func (c *traffic) must(t *testing.T, more int) {
	t.Helper()
	goal := c.answers() + more
	eventually(t, 30*time.Second, "calls are answered 200", func() bool { return c.answers() >= goal })
}

// eventually waits until a condition holds.
func eventually(t *testing.T, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %v: %s", patience, what)
		}
	}
}
