package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// request is one that is ready to be sent.
type request struct {
	path  string
	body  []byte
	calls int
}

// outcome is how the requests of a run went.
type outcome struct {
	Requests int
	Calls    int
	Took     time.Duration
	Answered []time.Duration // how long each request waited for its 200, shortest first
	Again    int             // times that a request was refused, 429 or 503, and sent again
}

// rate is the calls per second.
func (o *outcome) rate() float64 { return float64(o.Calls) / o.Took.Seconds() }

// quantile is the time within which the share q of the requests was answered.
func (o *outcome) quantile(q float64) time.Duration {
	if len(o.Answered) == 0 {
		return 0
	}
	return o.Answered[min(int(q*float64(len(o.Answered))), len(o.Answered)-1)]
}

// clients send requests over kept-alive connections.
type clients struct {
	url         string
	connections int
	web         *http.Client
}

func newClients(url string, connections int) *clients {
	return &clients{url: url, connections: connections, web: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true},
	}}
}

// send sends all requests: one after the other on each connection if rate is 0, else rate
// of them a second. A request's wait then begins when it is due, also if no connection is
// free: a slow server must not slow down its own measurement.
func (c *clients) send(ctx context.Context, requests []request, rate float64) (*outcome, error) {
	o := &outcome{Requests: len(requests), Answered: make([]time.Duration, len(requests))}
	for _, r := range requests {
		o.Calls += r.calls
	}
	var next, again atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range c.connections {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(requests) {
					return nil
				}
				due := time.Now()
				if rate > 0 {
					due = began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
					if err := sleep(ctx, time.Until(due)); err != nil {
						return err
					}
				}
				if err := c.deliver(ctx, requests[i], writeKeys[i%len(writeKeys)], &again); err != nil {
					return err
				}
				o.Answered[i] = time.Since(due)
			}
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	o.Took, o.Again = time.Since(began), int(again.Load())
	slices.Sort(o.Answered)
	return o, nil
}

// deliver sends a request until it is answered 200.
func (c *clients) deliver(ctx context.Context, r request, key string, again *atomic.Int64) error {
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+r.path, bytes.NewReader(r.body))
		if err != nil {
			return err
		}
		q.Header.Set("Content-Type", "application/json")
		q.SetBasicAuth(key, "")
		answer, err := c.web.Do(q)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		switch {
		case err != nil:
			return err
		case answer.StatusCode == http.StatusOK:
			return nil
		case answer.StatusCode != http.StatusServiceUnavailable && answer.StatusCode != http.StatusTooManyRequests:
			return fmt.Errorf("%s was answered %s: %s", r.path, answer.Status, text)
		}
		again.Add(1)
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// sleep waits, or returns the context's error if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
