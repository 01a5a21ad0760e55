// Command sdkdriver drives Segment's Go library as the test says: commands come as JSON,
// one a line, on standard input, and each is answered with one line. It is a module of
// its own, so that the library is no dependency of the product.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/segmentio/analytics-go/v3"
)

// command is what the test wants.
type command struct {
	Command                          string
	User, Anonymous, Previous, Group string
	Event                            string
	Count                            int
	Every                            int // milliseconds
}

// driver holds the library's client, and is told by it what could not be delivered.
type driver struct {
	client analytics.Client

	mu       sync.Mutex
	waiting  int // messages whose fate the library has not told
	failures []error
}

func main() {
	d := &driver{}
	var err error
	if d.client, err = analytics.NewWithConfig(os.Args[2], analytics.Config{Endpoint: os.Args[1], Callback: d}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer := "{}"
		if err := d.do(lines.Bytes()); err != nil {
			text, _ := json.Marshal(map[string]string{"error": err.Error()}) // of a string, which cannot fail
			answer = string(text)
		}
		fmt.Println(answer)
	}
}

func (d *driver) do(line []byte) error {
	var c command
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	switch c.Command {
	case "calls":
		return d.calls(c)
	case "track":
		return d.track(c)
	case "flush":
		return d.flush()
	}
	return fmt.Errorf("unknown command %q", c.Command)
}

func (d *driver) calls(c command) error {
	for _, message := range []analytics.Message{
		analytics.Track{AnonymousId: c.Previous, Event: "Visited Before"},
		analytics.Page{AnonymousId: c.Anonymous, Name: "Home", Properties: analytics.Properties{"category": "Docs"}},
		analytics.Screen{AnonymousId: c.Anonymous, Name: "Start"},
		analytics.Identify{UserId: c.User, AnonymousId: c.Anonymous, Traits: analytics.Traits{"plan": "pro", "seats": 3}},
		analytics.Track{UserId: c.User, Event: "Order Completed", Properties: analytics.Properties{"revenue": 12.5}},
		analytics.Group{UserId: c.User, GroupId: c.Group, Traits: analytics.Traits{"employees": 7}},
		analytics.Alias{UserId: c.User, PreviousId: c.Previous},
	} {
		if err := d.enqueue(message); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) track(c command) error {
	for number := range c.Count {
		err := d.enqueue(analytics.Track{UserId: c.User, Event: c.Event, Properties: analytics.Properties{"number": number}})
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(c.Every) * time.Millisecond)
	}
	return nil
}

// flush waits until the library has told what became of every message. It is not closed
// for that: closing gives up what would have to be sent again.
func (d *driver) flush() error {
	for !d.settled() {
		time.Sleep(10 * time.Millisecond)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	failures := d.failures
	d.failures = nil
	if n := len(failures); n > 0 {
		return fmt.Errorf("%d calls were given up, the first: %w", n, failures[0])
	}
	return nil
}

func (d *driver) settled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting == 0
}

// enqueue gives the library a message.
func (d *driver) enqueue(m analytics.Message) error {
	d.mu.Lock()
	d.waiting++
	d.mu.Unlock()
	return d.client.Enqueue(m)
}

// Success implements analytics.Callback.
func (d *driver) Success(analytics.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting--
}

// Failure implements analytics.Callback.
func (d *driver) Failure(_ analytics.Message, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting--
	d.failures = append(d.failures, err)
}
