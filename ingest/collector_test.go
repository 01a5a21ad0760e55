package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/event"
)

func item(source int64, id string) Item {
	return Item{SourceID: source, Call: &event.Call{Type: event.Page, MessageID: id, UserID: "u"}}
}

// running starts a collector; end stops it and returns Run's error.
func running(t *testing.T, sink Sink, cfg CollectorConfig) (c *Collector, end func() error) {
	t.Helper()
	c = NewCollector(sink, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = end() })
	return c, end
}

func TestRequestsShareTransactions(t *testing.T) {
	m := &memory{}
	c, _ := running(t, m, CollectorConfig{Wait: 20 * time.Millisecond})
	const requests, size = 200, 5
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			var items []Item
			for j := range size {
				items = append(items, item(int64(i%3), fmt.Sprintf("%d-%d", i, j)))
			}
			items = append(items, item(int64(i%3), fmt.Sprintf("%d-0", i))) // twice in one request
			results, err := c.Submit(t.Context(), items, 100)
			if err != nil || len(results) != size+1 || results[0].Outcome != Accepted || results[size].Outcome != Duplicate {
				t.Errorf("request %d: %v, %v", i, results, err)
			}
		})
	}
	wg.Wait()
	if len(m.groups) >= requests/4 {
		t.Errorf("%d requests took %d transactions", requests, len(m.groups))
	}
	if len(m.stored) != requests*size {
		t.Errorf("%d calls stored", len(m.stored))
	}
	for _, group := range m.groups { // each request's calls lie together and in order
		for i := 0; i < len(group); i += size + 1 {
			name, _, _ := strings.Cut(group[i].Call.MessageID, "-")
			for j := range size {
				if want := fmt.Sprintf("%s-%d", name, j); group[i+j].Call.MessageID != want {
					t.Fatalf("call %d of the group is %s, want %s", i+j, group[i+j].Call.MessageID, want)
				}
			}
		}
	}
	if c.backlog() != 0 {
		t.Errorf("backlog %d", c.backlog())
	}
}

// backlog is the number of calls taken but not yet stored.
func (c *Collector) backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

func TestFullCollectorIsBusyAndStoresNothing(t *testing.T) {
	s := open(t, func(_ *APIConfig, c *CollectorConfig, m *memory) {
		c.MaxCalls, c.Lanes, c.MaxGroup = 5, 1, 1
		m.gate, m.entered = make(chan struct{}), make(chan struct{}, 100)
	})
	answers := make(chan got)
	go func() { answers <- s.post(t, "/v1/batch", batch(visit("a1"), visit("a2"), visit("a3"))) }()
	<-s.entered
	g := s.post(t, "/v1/batch", batch(visit("b1"), visit("b2"), visit("b3")))
	expect(t, g, 503, CodeUnavailable)
	if g.header.Get("Retry-After") != "1" {
		t.Errorf("headers %v", g.header)
	}
	close(s.gate)
	expect(t, <-answers, 200, "")
	if ids := s.messageIDs(); !slices.Equal(ids, []string{"a1", "a2", "a3"}) {
		t.Errorf("stored %v", ids)
	}
	// An empty collector takes even what is larger than its limit.
	expect(t, s.post(t, "/v1/batch", batch(visit("c1"), visit("c2"), visit("c3"), visit("c4"), visit("c5"), visit("c6"))), 200, "")
}

func TestBytesAreBoundedToo(t *testing.T) {
	m := &memory{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
	c, _ := running(t, m, CollectorConfig{MaxBytes: 1000, Wait: time.Millisecond})
	done := make(chan error)
	go func() {
		_, err := c.Submit(context.Background(), []Item{item(1, "a")}, 900)
		done <- err
	}()
	<-m.entered
	if _, err := c.Submit(t.Context(), []Item{item(1, "b")}, 101); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v", err)
	}
	close(m.gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFailingSinkAnswers503AndRetrySucceeds(t *testing.T) {
	s := open(t)
	s.setFailing(true)
	g := s.post(t, "/v1/batch", batch(visit("a"), visit("b")))
	expect(t, g, 503, CodeUnavailable)
	if g.header.Get("Retry-After") == "" || strings.Contains(g.body, errDown.Error()) {
		t.Errorf("answer %v %s", g.header, g.body)
	}
	if len(s.all()) != 0 {
		t.Error("a failed exchange is recorded as if something had become of it")
	}
	s.setFailing(false)
	expect(t, s.post(t, "/v1/batch", batch(visit("a"), visit("b"))), 200, "")
	expect(t, s.post(t, "/v1/batch", batch(visit("a"), visit("b"))), 200, "")
	if ids := s.messageIDs(); !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("stored %v", ids)
	}
}

// A call that the sink cannot store is found, and all others of its transaction,
// and of other requests in it, are stored in order.
// What becomes of each call stands in its place, whichever lane it went through, and a request of
// which a part could not be stored is not answered 200.
func TestRequestsOfManyPeople(t *testing.T) {
	m := &memory{verdict: verdictOnUser}
	c, _ := running(t, m, CollectorConfig{Lanes: 4})
	users := []string{"gone", "odd", "apart"}
	for i := range 60 {
		users = append(users, fmt.Sprint("u", i))
	}
	request := func(name string) (items []Item) {
		for i, user := range users {
			it := item(1, fmt.Sprintf("%s-%d", name, i))
			it.Call.UserID = user
			items = append(items, it)
		}
		return items
	}
	results, err := c.Submit(t.Context(), request("m"), 1000)
	if err != nil || len(results) != len(users) {
		t.Fatalf("%d results, %v", len(results), err)
	}
	want := []Outcome{Suppressed, Rejected, Skipped}
	for i, r := range results {
		if i < len(want) && r.Outcome != want[i] || i >= len(want) && r.Outcome != Accepted {
			t.Errorf("the call of %s: %+v", users[i], r)
		}
	}
	if len(m.groups) < 3 {
		t.Errorf("63 people went through %d transactions of four lanes", len(m.groups))
	}

	m.mu.Lock()
	m.fail = func(items []Item) error {
		for _, it := range items {
			if it.Call.UserID == "u7" {
				return errDown
			}
		}
		return nil
	}
	m.mu.Unlock()
	if _, err := c.Submit(t.Context(), request("n"), 1000); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a part failed: %v", err)
	}
	m.mu.Lock()
	m.fail = nil
	m.mu.Unlock()
	results, err = c.Submit(t.Context(), request("n"), 1000)
	if err != nil {
		t.Fatal(err)
	}
	twice := 0
	for _, r := range results[len(want):] {
		if r.Outcome == Duplicate {
			twice++
		}
	}
	if twice == 0 || twice == 60 {
		t.Errorf("of 60 calls that came again %d were stored before", twice)
	}
	if c.backlog() != 0 {
		t.Errorf("backlog %d", c.backlog())
	}
}

func TestUnstorableCallStandsAlone(t *testing.T) {
	m := &memory{unstorable: func(c *event.Call) bool { return strings.HasPrefix(c.MessageID, "bad") }}
	c, _ := running(t, m, CollectorConfig{Wait: 50 * time.Millisecond})
	var wg sync.WaitGroup
	for r := range 8 {
		wg.Go(func() {
			var items []Item
			for i := range 9 {
				id := fmt.Sprintf("good-%d-%d", r, i)
				if r%3 == 0 && i == r {
					id = fmt.Sprint("bad-", r)
				}
				items = append(items, item(1, id))
			}
			results, err := c.Submit(t.Context(), items, 10)
			if err != nil {
				t.Error(err)
				return
			}
			for i, it := range items {
				want := Result{Outcome: Accepted}
				if strings.HasPrefix(it.Call.MessageID, "bad") {
					want = Result{Outcome: Rejected, Code: CodeUnstorable}
				}
				if results[i] != want {
					t.Errorf("%s: %+v", it.Call.MessageID, results[i])
				}
			}
		})
	}
	wg.Wait()
	if len(m.stored) != 8*9-3 {
		t.Errorf("%d calls stored", len(m.stored))
	}
	next := map[string]int{}
	for _, it := range m.stored {
		var r, i int
		_, _ = fmt.Sscanf(it.Call.MessageID, "good-%d-%d", &r, &i)
		if i < next[fmt.Sprint(r)] {
			t.Fatalf("%s is stored after its successor", it.Call.MessageID)
		}
		next[fmt.Sprint(r)] = i
	}
}

func TestStoreGivesUpOnOtherErrors(t *testing.T) {
	calls := 0
	m := &memory{unstorable: func(c *event.Call) bool { return c.MessageID == "bad" }}
	m.fail = func([]Item) error {
		if calls++; calls > 1 {
			return errDown
		}
		return nil
	}
	_, err := store(t.Context(), m, []Item{item(1, "a"), item(1, "b"), item(1, "bad"), item(1, "c")})
	if !errors.Is(err, errDown) {
		t.Errorf("error %v", err)
	}
	short := sinkFunc(func([]Item) ([]Result, error) { return make([]Result, 1), nil })
	if _, err := store(t.Context(), short, []Item{item(1, "a"), item(1, "b")}); err == nil {
		t.Error("a sink that loses results is believed")
	}
}

type sinkFunc func([]Item) ([]Result, error)

func (f sinkFunc) Ingest(_ context.Context, items []Item) ([]Result, error) { return f(items) }

// What was taken before the shutdown is stored and answered; what comes later is not taken.
func TestShutdownDrains(t *testing.T) {
	s := open(t, func(_ *APIConfig, c *CollectorConfig, m *memory) {
		c.Lanes, c.MaxGroup = 1, 1
		m.gate, m.entered = make(chan struct{}), make(chan struct{}, 100)
	})
	answers := make(chan got)
	const waiting = 10
	for i := range waiting {
		go func() { answers <- s.post(t, "/v1/page", visit(fmt.Sprint("m", i))) }()
	}
	<-s.entered
	for s.collector.backlog() < waiting {
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan struct{})
	go func() {
		s.stop()
		close(stopped)
	}()
	probe := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		_, err := s.collector.Submit(ctx, []Item{item(1, "probe")}, 1)
		return err
	}
	for !errors.Is(probe(), ErrClosed) {
	}
	g := s.post(t, "/v1/page", visit("late"))
	expect(t, g, 503, CodeUnavailable)
	close(s.gate)
	for range waiting {
		expect(t, <-answers, 200, "")
	}
	<-stopped
	ids := s.messageIDs()
	if len(ids) < waiting || s.collector.backlog() != 0 {
		t.Errorf("stored %v, backlog %d", ids, s.collector.backlog())
	}
}

func TestShutdownGivesUpInTime(t *testing.T) {
	m := &memory{gate: make(chan struct{}), entered: make(chan struct{}, 10)} // never opens
	c, end := running(t, m, CollectorConfig{Drain: 20 * time.Millisecond})
	failed := make(chan error)
	go func() {
		_, err := c.Submit(context.Background(), []Item{item(1, "a")}, 1)
		failed <- err
	}()
	<-m.entered
	if err := end(); err == nil {
		t.Error("Run does not tell that it gave up")
	}
	if err := <-failed; !errors.Is(err, ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestSlowSinkIsNotWaitedForForever(t *testing.T) {
	s := open(t, func(c *APIConfig, _ *CollectorConfig, m *memory) {
		c.AnswerTimeout = 300 * time.Millisecond
		m.gate = make(chan struct{})
	})
	g := s.post(t, "/v1/page", visit("a"))
	expect(t, g, 503, CodeUnavailable)
	close(s.gate)
	expect(t, s.post(t, "/v1/page", visit("a")), 200, "")
	if ids := s.messageIDs(); !slices.Equal(ids, []string{"a"}) {
		t.Errorf("stored %v", ids)
	}
}

// Trouble is told while storing takes long, and for a while after it has failed.
func TestTrouble(t *testing.T) {
	m := &memory{gate: make(chan struct{})}
	c, _ := running(t, m, CollectorConfig{Patience: 300 * time.Millisecond})
	until := func(want error) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); c.Trouble() != want; time.Sleep(time.Millisecond) { //nolint:errorlint // it is told as it is
			if time.Now().After(deadline) {
				t.Fatalf("the trouble is %v, want %v", c.Trouble(), want)
			}
		}
	}
	submit := func(id string) error {
		_, err := c.Submit(t.Context(), []Item{item(1, id)}, 10)
		return err
	}
	stored := make(chan error)
	go func() { stored <- submit("a") }()
	if err := c.Trouble(); err != nil {
		t.Errorf("trouble at once: %v", err)
	}
	until(errStalled)
	close(m.gate)
	if err := <-stored; err != nil {
		t.Error(err)
	}
	until(nil)
	fail := func(failing bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.failing = failing
	}
	fail(true)
	for _, id := range []string{"b", "c"} {
		if err := submit(id); !errors.Is(err, ErrUnavailable) || c.Trouble() == nil {
			t.Errorf("%s: %v, with the trouble %v", id, err, c.Trouble())
		}
	}
	until(nil) // nobody came meanwhile
	if err := submit("d"); !errors.Is(err, ErrUnavailable) || c.Trouble() == nil {
		t.Errorf("%v, with the trouble %v", err, c.Trouble())
	}
	fail(false)
	if err := submit("d"); err != nil || c.Trouble() != nil {
		t.Errorf("%v, with the trouble %v", err, c.Trouble())
	}
}

// A client that leaves does not hold anything up or leak.
func TestClientLeaves(t *testing.T) {
	s := open(t, func(_ *APIConfig, _ *CollectorConfig, m *memory) {
		m.gate, m.entered = make(chan struct{}), make(chan struct{}, 10)
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/page", strings.NewReader(`{"userId":"u","writeKey":"wk1","messageId":"a"}`))
	failed := make(chan error)
	go func() {
		resp, err := transport.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-s.entered
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	close(s.gate)
	expect(t, s.post(t, "/v1/page", visit("b")), 200, "")
}
