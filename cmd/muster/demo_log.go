package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"muster/engine"
	"muster/event"
)

// shopLog is the demo's log in the order of time.
type shopLog struct {
	calls     []engine.Received
	favourite string // user id of a customer with a good many orders
}

// readShopLog decodes the log. Each call is received when it happened.
func readShopLog(r io.Reader) (*shopLog, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read the demo's log: %w", err)
	}
	log := &shopLog{}
	orders := make(map[string]int)
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// The log's own time is taken for that of receipt: decoding again with it keeps
		// the call from looking as if it came from the future.
		call, err := event.Decode(slices.Clone(lines.Bytes()), event.Envelope{ReceivedAt: liveUntil, MaxBytes: 1 << 20})
		if err != nil {
			return nil, fmt.Errorf("read the demo's log: %w", err)
		}
		call.ReceivedAt = call.Timestamp
		log.calls = append(log.calls, engine.Received{Call: call})
		if call.Event == "Order Completed" && call.UserID != "" && !call.Timestamp.Before(liveFrom) {
			orders[call.UserID]++
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the demo's log: %w", err)
	}
	slices.SortStableFunc(log.calls, func(a, b engine.Received) int { return a.Call.Timestamp.Compare(b.Call.Timestamp) })
	for user, n := range orders {
		best := orders[log.favourite]
		if n <= 12 && (n > best || n == best && user < log.favourite) {
			log.favourite = user
		}
	}
	return log, nil
}

// before are the calls up to an instant, without it.
func (l *shopLog) before(t time.Time) []engine.Received { return l.calls[:l.index(t)] }

// between are the calls from one instant up to another, without that.
func (l *shopLog) between(from, to time.Time) []engine.Received {
	return l.calls[l.index(from):l.index(to)]
}

func (l *shopLog) index(t time.Time) int {
	return sort.Search(len(l.calls), func(i int) bool { return !l.calls[i].Call.Timestamp.Before(t) })
}
