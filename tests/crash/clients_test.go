package crash_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// request is a batch of calls that a client has sent, once or more often.
type request struct {
	ids      []string // message ids
	body     []byte
	answered bool // 200, at least once
	refused  int  // times it was answered something else
	broken   int  // times there was no answer
	repeated int  // times it was sent although that was done with
}

const (
	clientCount = 8
	userCount   = 40
)

// clients send batches until they are stopped. As Segment's libraries do, they mostly send
// a batch again if it was not answered 200; sometimes they give it up. And now and then they
// send an old batch once more, as those do that missed an answer: killing muster between the
// commit and the answer, which is where doubles would come from, takes more luck than a test has.
type clients struct {
	url  atomic.Pointer[string]
	quit chan struct{}
	once sync.Once
	wait sync.WaitGroup

	mu       sync.Mutex
	requests []*request
}

func startClients(url string, r *rand.Rand) *clients {
	c := &clients{quit: make(chan struct{})}
	c.moveTo(url)
	for i := range clientCount {
		own := rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
		c.wait.Go(func() { c.run(i, own) })
	}
	return c
}

// moveTo tells the clients where the server is now.
func (c *clients) moveTo(url string) { c.url.Store(&url) }

// stop ends the clients, when each has done with its batch, and returns what they sent.
func (c *clients) stop() []*request {
	c.once.Do(func() { close(c.quit) })
	c.wait.Wait()
	return c.requests
}

func (c *clients) run(number int, r *rand.Rand) {
	web := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	var mine []*request
	for n := 0; ; n++ {
		select {
		case <-c.quit:
			c.mu.Lock()
			c.requests = append(c.requests, mine...)
			c.mu.Unlock()
			return
		default:
		}
		q := newRequest(r, fmt.Sprintf("crash-%d-%d", number, n))
		if len(mine) > 0 && r.IntN(8) == 0 {
			q = mine[r.IntN(len(mine))]
			q.repeated++
		} else {
			mine = append(mine, q)
		}
		for !c.send(web, q) && r.IntN(4) != 0 {
			time.Sleep(time.Duration(10+r.IntN(40)) * time.Millisecond)
		}
	}
}

// newRequest makes a batch of 1 to 60 calls of various users.
func newRequest(r *rand.Rand, name string) *request {
	q := &request{}
	var body bytes.Buffer
	fmt.Fprintf(&body, `{"writeKey":%q,"batch":[`, writeKey)
	for i := range 1 + r.IntN(60) {
		if i > 0 {
			body.WriteByte(',')
		}
		id := fmt.Sprintf("%s-%d", name, i)
		q.ids = append(q.ids, id)
		fmt.Fprintf(&body, `{"type":"track","event":"Order Completed","userId":"user-%d","messageId":%q,"properties":{"revenue":%d.50,"request":%q}}`,
			r.IntN(userCount), id, r.IntN(100), name)
	}
	body.WriteString("]}")
	q.body = body.Bytes()
	return q
}

// send sends a batch once and tells whether it was answered 200.
func (c *clients) send(web *http.Client, q *request) bool {
	answer, err := web.Post(*c.url.Load()+"/v1/batch", "application/json", bytes.NewReader(q.body))
	if err != nil {
		q.broken++
		return false
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	switch {
	case err != nil:
		q.broken++ // the status alone is no answer
		return false
	case answer.StatusCode != http.StatusOK || !slices.Equal(text, []byte(`{"success":true}`)):
		q.refused++
		return false
	}
	q.answered = true
	return true
}
