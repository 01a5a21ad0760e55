package crash

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// request is what a client has sent, once or more often: a batch of calls, or a single one.
type request struct {
	path     string
	key      string // write key
	calls    []*call
	body     []byte
	answered bool // 200, at least once
	refused  int  // times it was answered something else
	broken   int  // times there was no answer
	repeated int  // times it was sent although that was done with
}

const clientCount = 4

// clients send requests until they are stopped. As Segment's libraries do, they mostly send
// a request again if it was not answered 200; sometimes they give it up. And now and then they
// send an old one once more, as those do that missed an answer: killing muster between the
// commit and the answer, which is where doubles would come from, takes more luck than a test has.
type clients struct {
	urls atomic.Pointer[[]string]
	quit chan struct{}
	once sync.Once
	wait sync.WaitGroup

	mu       sync.Mutex
	requests []*request

	answers
}

// answers measure how long nobody was answered 200.
type answers struct {
	last    atomic.Int64 // when somebody was last, in nanoseconds since 1970
	longest atomic.Int64 // nanoseconds
	count   atomic.Int64
}

func (a *answers) answered(now time.Time) {
	a.count.Add(1)
	gap := now.UnixNano() - a.last.Swap(now.UnixNano())
	for {
		longest := a.longest.Load()
		if gap <= longest || a.longest.CompareAndSwap(longest, gap) {
			return
		}
	}
}

func startClients(urls []string, r *rand.Rand) *clients {
	c := &clients{quit: make(chan struct{})}
	c.moveTo(urls)
	c.last.Store(time.Now().UnixNano())
	for i := range clientCount {
		own := rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
		c.wait.Go(func() { c.run(i, own) })
	}
	return c
}

// moveTo tells the clients where the servers are now.
func (c *clients) moveTo(urls []string) { c.urls.Store(&urls) }

// stop ends the clients, when each has done with its request, and returns what they sent.
func (c *clients) stop() []*request {
	c.once.Do(func() { close(c.quit) })
	c.wait.Wait()
	return c.requests
}

func (c *clients) run(number int, r *rand.Rand) {
	web := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	var mine []*request
	favourite := number // of the servers
	for n := 0; ; n++ {
		select {
		case <-c.quit:
			c.mu.Lock()
			c.requests = append(c.requests, mine...)
			c.mu.Unlock()
			return
		case <-time.After(time.Duration(5+r.IntN(50)) * time.Millisecond):
		}
		var q *request
		if len(mine) > 0 && r.IntN(8) == 0 {
			q = mine[r.IntN(len(mine))]
			q.repeated++
		} else {
			q = newRequest(r, fmt.Sprintf("crash-%d-%d", number, n))
			mine = append(mine, q)
		}
		for !c.send(web, q, favourite) && r.IntN(8) != 0 {
			favourite++ // a load balancer would do that
			time.Sleep(time.Duration(10+r.IntN(40)) * time.Millisecond)
		}
	}
}

// newRequest makes a batch of up to 30 calls, or a request of a single one.
func newRequest(r *rand.Rand, name string) *request {
	q := &request{path: "/v1/batch", key: appKey}
	web := r.IntN(2) == 0
	if web {
		q.key = webKey
	}
	n := 1 + r.IntN(30)
	single := r.IntN(4) == 0
	if single {
		n = 1
	}
	for i := range n {
		q.calls = append(q.calls, newCall(r, fmt.Sprintf("%s-%d", name, i), web, time.Now().UTC()))
	}
	if single {
		q.path, q.body = "/v1/"+q.calls[0].kind, q.calls[0].body
		return q
	}
	q.body = []byte(`{"batch":[`)
	for i, one := range q.calls {
		if i > 0 {
			q.body = append(q.body, ',')
		}
		q.body = append(q.body, one.body...)
		if r.IntN(30) == 0 {
			q.body = append(append(q.body, ','), one.body...) // a duplicate within the request
		}
	}
	q.body = append(q.body, "]}"...)
	return q
}

// send sends a request once and tells whether it was answered 200.
func (c *clients) send(web *http.Client, q *request, server int) bool {
	urls := *c.urls.Load()
	post, err := http.NewRequestWithContext(context.Background(), http.MethodPost, urls[server%len(urls)]+q.path, bytes.NewReader(q.body))
	if err != nil {
		panic(err) // of an address that is made here
	}
	post.Header.Set("Content-Type", "application/json")
	post.SetBasicAuth(q.key, "")
	answer, err := web.Do(post)
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
	c.answered(time.Now())
	return true
}
