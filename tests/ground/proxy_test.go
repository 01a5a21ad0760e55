package ground_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// wire stands between muster and PostgreSQL, and can be cut, slowed and frozen.
type wire struct {
	address  string // where muster finds it
	target   [2]string
	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	held     map[net.Conn]bool
	delay    time.Duration
	frozen   chan struct{} // closed when nothing keeps it
	done     sync.WaitGroup
}

// newWire leads to an address of PostgreSQL until the test ends.
func newWire(t *testing.T, network, target string) *wire {
	t.Helper()
	w := &wire{address: "127.0.0.1:0", target: [2]string{network, target}, held: make(map[net.Conn]bool), frozen: make(chan struct{})}
	close(w.frozen)
	w.mend(t)
	t.Cleanup(func() {
		w.thaw()
		w.cut()
		w.done.Wait()
	})
	return w
}

// mend lets connections be made, at the address where they could be made before.
func (w *wire) mend(t *testing.T) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.listener, w.address = l, l.Addr().String()
	w.mu.Unlock()
	w.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.done.Go(func() { w.lead(c) })
		}
	})
}

// cut breaks all connections off; new ones are refused.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		_ = w.listener.Close() // it may be closed already
		w.listener = nil
	}
	for c := range w.held {
		_ = c.Close() // the other side may have closed it
	}
}

// slow lets all that is sent, either way, come so much later.
func (w *wire) slow(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = by
}

// freeze holds all that is sent back until thaw is called.
func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = make(chan struct{})
}

func (w *wire) thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.frozen:
	default:
		close(w.frozen)
	}
}

// hold notes a connection that cut breaks off; it is false if the wire is cut.
func (w *wire) hold(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held[c] = true
	return w.listener != nil
}

func (w *wire) drop(c net.Conn) {
	_ = c.Close() // it may be closed already
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, c)
}

func (w *wire) lead(c net.Conn) {
	defer w.drop(c)
	server, err := (&net.Dialer{}).DialContext(context.Background(), w.target[0], w.target[1])
	if err != nil {
		return
	}
	defer w.drop(server)
	if !w.hold(c) || !w.hold(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { w.pass(server, c) })
	both.Go(func() { w.pass(c, server) })
	both.Wait()
}

// pass copies what comes until one side is closed, and then closes the other.
func (w *wire) pass(to, from net.Conn) {
	defer to.Close()
	part := make([]byte, 64<<10)
	for {
		n, err := from.Read(part)
		w.mu.Lock()
		delay, frozen := w.delay, w.frozen
		w.mu.Unlock()
		<-frozen
		time.Sleep(delay)
		if n > 0 {
			if _, failed := to.Write(part[:n]); failed != nil {
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				_ = from.Close() // it is broken
			}
			return
		}
	}
}
