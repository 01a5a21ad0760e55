package ingest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"muster/event"
)

var long = flag.Bool("long", false, "send and import as much as takes minutes under the race detector")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// amount is how much a test does: usually, and with -long.
func amount(usually, withLong int) int {
	if *long {
		return withLong
	}
	return usually
}

// memory is a sink that keeps calls as a database would: all of a transaction or
// nothing, each message id once.
type memory struct {
	mu       sync.Mutex
	stored   []Item
	ids      map[string]bool
	groups   [][]Item // the transactions that went through
	attempts int

	// What goes wrong: set before use, or under mu.
	failing    bool                      // every transaction fails for now
	gate       chan struct{}             // if set, a transaction waits for a value or the close
	unstorable func(*event.Call) bool    // calls that break any transaction they are in
	verdict    func(*event.Call) *Result // results other than accepted
	entered    chan struct{}             // if set, receives when a transaction begins
	fail       func(items []Item) error  // checked last
}

// verdictOnUser makes one user of each kind that a sink does not accept.
func verdictOnUser(c *event.Call) *Result {
	switch c.UserID {
	case "gone":
		return &Result{Outcome: Suppressed}
	case "odd":
		return &Result{Outcome: Rejected, Code: "no_identifiers"}
	case "apart":
		return &Result{Outcome: Skipped, Code: event.CodePersonasDisabled}
	}
	return nil
}

var errDown = errors.New("the database is down")

func (m *memory) Ingest(ctx context.Context, items []Item) ([]Result, error) {
	if m.entered != nil {
		m.entered <- struct{}{}
	}
	if m.gate != nil {
		select {
		case <-m.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts++
	if m.failing {
		return nil, errDown
	}
	results := make([]Result, len(items))
	fresh := map[string]bool{}
	var kept []Item
	for i, it := range items {
		if m.unstorable != nil && m.unstorable(it.Call) {
			return nil, fmt.Errorf("row %d: %w", i, ErrUnstorable)
		}
		if m.verdict != nil {
			if r := m.verdict(it.Call); r != nil {
				results[i] = *r
				continue
			}
		}
		if m.ids[it.Call.MessageID] || fresh[it.Call.MessageID] {
			results[i].Outcome = Duplicate
			continue
		}
		fresh[it.Call.MessageID] = true
		kept = append(kept, it)
	}
	if m.fail != nil {
		if err := m.fail(items); err != nil {
			return nil, err
		}
	}
	if m.ids == nil {
		m.ids = map[string]bool{}
	}
	for id := range fresh {
		m.ids[id] = true
	}
	m.stored = append(m.stored, kept...)
	m.groups = append(m.groups, slices.Clone(items))
	return results, nil
}

// messageIDs are the stored ids in order.
func (m *memory) messageIDs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := make([]string, len(m.stored))
	for i, it := range m.stored {
		ids[i] = it.Call.MessageID
	}
	return ids
}

func (m *memory) setFailing(failing bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = failing
}

// keys are the sources of a test: write key to source.
type keys map[string]Source

func (k keys) ByWriteKey(_ context.Context, key string) (Source, bool, error) {
	if key == "broken" {
		return Source{}, false, errDown
	}
	src, ok := k[key]
	return src, ok, nil
}

// notebook is a recorder that keeps everything.
type notebook struct {
	mu        sync.Mutex
	exchanges []Exchange
}

func (n *notebook) Record(x Exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.exchanges = append(n.exchanges, x)
}

func (n *notebook) all() []Exchange {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.exchanges)
}
