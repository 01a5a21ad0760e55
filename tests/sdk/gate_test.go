package sdk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// trouble is what the gate does to requests that carry calls.
type trouble int32

const (
	noTrouble   trouble = iota
	refuseAll           // answers 503 in muster's stead
	loseAnswers         // lets muster do its work, and hangs up before the answer
)

// gate is a proxy in front of muster, at an address that outlives muster's restarts. It
// makes trouble, and knows which messages have passed it. A muster that is down looks to
// clients as it would: the connection breaks.
type gate struct {
	*httptest.Server
	proxy   *httputil.ReverseProxy
	target  atomic.Pointer[url.URL]
	trouble atomic.Int32

	mu       sync.Mutex
	open     int            // requests at work
	tries    map[string]int // by message id
	answered map[string]bool
	count    counts
}

// counts are requests with calls, by what became of them.
type counts struct{ answered, refused, limited, lost, unreached int }

func newGate(t *testing.T) *gate {
	g := &gate{tries: make(map[string]int), answered: make(map[string]bool)}
	g.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(g.target.Load())
			r.Out.Host = r.In.Host // the settings that browsers fetch name it
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodPost && trouble(g.trouble.Load()) == loseAnswers {
				return errLost
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			g.mu.Lock()
			switch {
			case r.Method != http.MethodPost:
			case errors.Is(err, errLost):
				g.count.lost++
			default:
				g.count.unreached++
			}
			g.mu.Unlock()
			panic(http.ErrAbortHandler)
		},
	}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

var errLost = errors.New("the answer is lost")

// lead sends all that comes to muster's present address.
func (g *gate) lead(t *testing.T, to string) {
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	g.target.Store(u)
}

func (g *gate) make(what trouble) { g.trouble.Store(int32(what)) }

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		g.proxy.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	ids := messageIDs(body)
	g.mu.Lock()
	g.open++
	for _, id := range ids {
		g.tries[id]++
	}
	g.mu.Unlock()
	status := 0
	defer func() { // also when the proxy hangs up
		g.mu.Lock()
		defer g.mu.Unlock()
		g.open--
		switch status {
		case http.StatusOK:
			g.count.answered++
			for _, id := range ids {
				g.answered[id] = true
			}
		case http.StatusServiceUnavailable:
			g.count.refused++
		case http.StatusTooManyRequests:
			g.count.limited++
		}
	}()
	if trouble(g.trouble.Load()) == refuseAll {
		status = http.StatusServiceUnavailable
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(status)
		return
	}
	watch := &statusWatch{ResponseWriter: w}
	g.proxy.ServeHTTP(watch, r)
	status = watch.status
}

// statusWatch remembers the status of an answer.
type statusWatch struct {
	http.ResponseWriter
	status int
}

func (s *statusWatch) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// messageIDs are the ids in a body, of one message or a batch.
func messageIDs(body []byte) []string {
	type message struct {
		MessageID string `json:"messageId"`
	}
	var m struct {
		message
		Batch []message `json:"batch"`
	}
	if json.Unmarshal(body, &m) != nil {
		return nil
	}
	if m.Batch == nil {
		return []string{m.MessageID}
	}
	var ids []string
	for _, one := range m.Batch {
		ids = append(ids, one.MessageID)
	}
	return ids
}

// counts returns what has become of requests so far.
func (g *gate) counts() counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

// messages is how many messages have been sent, each counted once.
func (g *gate) messages() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tries)
}

// pending is how many messages have been sent but not been answered 200, and how many
// requests are at work.
func (g *gate) pending() (messages, requests int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tries) - len(g.answered), g.open
}

// repeated is how many messages have been sent more than once.
func (g *gate) repeated() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, tries := range g.tries {
		if tries > 1 {
			n++
		}
	}
	return n
}
