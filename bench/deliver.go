package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/bench/result"
	"muster/deliver"
	"muster/engine"
	"muster/identity"
	"muster/mixpanel"
	"muster/mixpanel/mixpaneltest"
	"muster/query"
)

func deliverFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	messages := set.Int("messages", 1_000_000, "`messages` of a first sync, one for each member")
	standing := set.Int("standing", 1_000_000, "`messages` that are queued while the destination stands still; 0: leave that out")
	sample := set.Int("sample", 250_000, "`messages` whose requests are posted again as the baseline")
	return func(ctx context.Context, b *bench) (err error) {
		f, err := startFake(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.stop()) }()
		for _, form := range []engine.Form{engine.FormIdentify, engine.FormTrack} {
			if err := deliverForm(ctx, b, f, form, *messages, *sample); err != nil {
				return fmt.Errorf("%s: %w", form, err)
			}
		}
		if *standing > 0 {
			if err := standStill(ctx, b, f, *standing); err != nil {
				return fmt.Errorf("standing still: %w", err)
			}
		}
		b.report.Note("The queue is PostgreSQL's, filled by the product's own statements; Mixpanel is the strict fake, in a process of its own on loopback. " +
			"The baseline posts the requests of a part of the messages, kept in memory, to the same fake with as many connections: no queue, no mapping, no compressing. " +
			"With all processor times added up, cores / sum is the rate that a machine with nothing else to do reaches.")
		return nil
	}
}

// told is a deliver.Metrics that counts.
type told struct {
	delivered, others atomic.Int64
	mu                sync.Mutex
	lags              map[deliver.Lane]time.Duration
}

// Counted implements deliver.Metrics.
func (t *told) Counted(_ string, v engine.Verdict, _ string, n int) {
	if v == engine.Delivered {
		t.delivered.Add(int64(n))
	} else {
		t.others.Add(int64(n))
	}
}

// Lag implements deliver.Metrics.
func (t *told) Lag(lane deliver.Lane, age time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lags == nil {
		t.lags = make(map[deliver.Lane]time.Duration)
	}
	t.lags[lane] = age
}

// lag is the age of the oldest message that waits.
func (t *told) lag() (most time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, age := range t.lags {
		most = max(most, age)
	}
	return most
}

// show says every second how far a delivery of n messages is, until done closes.
func (t *told) show(b *bench, n int, done <-chan struct{}) {
	began := time.Now()
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticks.C:
			told := t.delivered.Load()
			rate := float64(told) / time.Since(began).Seconds()
			left := "?"
			if told > 0 {
				left = time.Duration(float64(int64(n)-told) / rate * float64(time.Second)).Round(time.Second).String()
			}
			b.say("  %3d %%  %s of %s told, %s/s, %s left", 100*told/int64(n), result.Number(float64(told)), result.Number(float64(n)), result.Number(rate), left)
		}
	}
}

// settings are those of a project in the fake. Their pace leaves nothing to wait for.
func (f *fake) settings() mixpanel.Settings {
	return mixpanel.Settings{
		Token: mixpaneltest.DefaultToken, BaseURL: f.url,
		EventsPerSecond: 1_000_000, BytesPerMinute: 2_000_000_000,
	}
}

// outbox is a database with messages to tell.
type outbox struct {
	*database
	connection *engine.Connection
	queued     int
}

// newOutbox defines one audience, of which nobody is a member yet.
func newOutbox(ctx context.Context, b *bench) (*outbox, error) {
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if _, _, err := d.define(ctx, []definition{audience("repeat_buyers_30d", "2", part{names[4].name, anyEvent, 0, "count"})}, now); err != nil {
		return nil, err
	}
	if err := d.Prepare(ctx, nil, []time.Time{now}); err != nil {
		return nil, err
	}
	c, err := d.engine.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	return &outbox{database: d, connection: c.Computations[0].Connections[0]}, nil
}

// queue appends n messages, each to somebody new, as a backfill does.
func (o *outbox) queue(ctx context.Context, form engine.Form, n int) error {
	const chunk = 5000
	for n > 0 {
		size := min(n, chunk)
		now := time.Now().UTC().Truncate(time.Millisecond)
		profiles := make([]*engine.Profile, size)
		for i := range profiles {
			o.queued++
			id := int64(o.queued)
			profiles[i] = &engine.Profile{Messages: []engine.Message{{
				Connection: o.connection, ProfileID: id, Bucket: engine.ProfileBucket(id), Form: form,
				IDs:   identity.Combination{UserID: userID(id), Email: email(id)},
				Value: query.Bool(true), Times: 1, At: now, Reason: engine.ReasonFirstSync,
			}}}
		}
		if err := o.Transact(ctx, func(tx engine.Tx) error { return tx.Enqueue(ctx, profiles, now) }); err != nil {
			return err
		}
		n -= size
	}
	return nil
}

// deliverer delivers from the outbox as muster serve does.
func (o *outbox) deliverer(s mixpanel.Settings, client *http.Client, t *told, p deliver.Pace) (*deliver.Deliverer, func(), error) {
	d, err := mixpanel.NewDestination(s, client)
	if err != nil {
		return nil, nil, err
	}
	q := o.Queue()
	del, err := deliver.New(deliver.Config{
		Queue: q, Owner: "bench", Now: time.Now, Random: rand.Float64, Metrics: t,
		Targets: func(context.Context) ([]deliver.Target, error) {
			return []deliver.Target{{Name: destination, Destination: d, Pace: p}}, nil
		},
	})
	return del, q.Close, err
}

// deliverForm measures one form of message.
func deliverForm(ctx context.Context, b *bench, f *fake, form engine.Form, n, sample int) error {
	o, err := newOutbox(ctx, b)
	if err != nil {
		return err
	}
	defer o.drop(ctx)
	baseline, err := postAgain(ctx, b, f, o, form, min(n, sample))
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s, %s messages", form, result.Number(float64(n)))
	b.say("%s: queueing", name)
	began := time.Now()
	if err := o.queue(ctx, form, n); err != nil {
		return err
	}
	queued := time.Since(began)
	if err := o.settle(ctx); err != nil {
		return err
	}
	var t told
	d, closeQueue, err := o.deliverer(f.settings(), nil, &t, deliver.Pace{})
	if err != nil {
		return err
	}
	defer closeQueue()
	if err := f.reset(ctx); err != nil {
		return err
	}
	before, theirs := b.server.cpu(), f.cpu()
	var took time.Duration
	o.meter.reset()
	peak, err := peakMemory(func() error {
		done := make(chan struct{})
		defer close(done)
		go t.show(b, n, done)
		began := time.Now()
		err := o.meter.watch(func() error { return d.Drain(ctx) })
		took = time.Since(began)
		return err
	})
	if err != nil {
		return err
	}
	used, theirUse := b.server.cpu().since(before), f.cpu()-theirs
	if err := f.check(ctx, form, n); err != nil {
		return err
	}
	b.report.Add(result.Line{Case: name, Measure: "delivered", Value: float64(n) / took.Seconds(), Unit: "messages/s", Baseline: "post the same requests", Against: baseline})
	b.addCPU(name, "message", used, n)
	b.addFakeCPU(name, theirUse, n)
	b.report.Add(result.Line{Case: name, Measure: "peak memory of the Go process, above what it had", Value: peak, Unit: "MB"})
	b.report.Add(result.Line{Case: name, Measure: "queued beforehand", Value: float64(n) / queued.Seconds(), Unit: "messages/s"})
	b.say("%s: %s", name, took.Round(time.Millisecond))
	return nil
}

// addFakeCPU notes the fake's processor time, where the system tells it.
func (b *bench) addFakeCPU(name string, used time.Duration, n int) {
	if used > 0 {
		b.report.Add(result.Line{Case: name, Measure: "processor time, the fake", Value: float64(used.Microseconds()) / float64(n), Unit: "us/message"})
	}
}

// check holds the fake's side against what was told.
func (f *fake) check(ctx context.Context, form engine.Form, n int) error {
	h, err := f.holds(ctx)
	if err != nil {
		return err
	}
	got := h.Projects[0].Profiles
	if form == engine.FormTrack {
		got = h.Projects[0].Events
	}
	if got != n || h.Violations+h.Orphans+h.Dropped > 0 {
		return fmt.Errorf("the fake holds %d of %d, with %d violations, %d orphans and %d dropped", got, n, h.Violations, h.Orphans, h.Dropped)
	}
	return nil
}

// kept is a request that can be sent again.
type kept struct {
	url    *url.URL
	header http.Header
	body   []byte
}

// keeper remembers requests on their way.
type keeper struct {
	http.RoundTripper
	mu   sync.Mutex
	kept []kept
}

// RoundTrip implements http.RoundTripper.
func (k *keeper) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	k.mu.Lock()
	k.kept = append(k.kept, kept{r.URL, r.Header, body})
	k.mu.Unlock()
	return k.RoundTripper.RoundTrip(r)
}

// postAgain delivers n messages, and answers how many a second reach the fake when
// their requests are merely posted again.
func postAgain(ctx context.Context, b *bench, f *fake, o *outbox, form engine.Form, n int) (float64, error) {
	if err := o.queue(ctx, form, n); err != nil {
		return 0, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: deliver.DefaultConcurrency}
	defer transport.CloseIdleConnections()
	k := &keeper{RoundTripper: transport}
	var t told
	d, closeQueue, err := o.deliverer(f.settings(), &http.Client{Transport: k}, &t, deliver.Pace{})
	if err != nil {
		return 0, err
	}
	defer closeQueue()
	if err := f.reset(ctx); err != nil {
		return 0, err
	}
	if err := d.Drain(ctx); err != nil {
		return 0, err
	}
	if err := f.check(ctx, form, n); err != nil {
		return 0, err
	}
	if err := f.reset(ctx); err != nil {
		return 0, err
	}
	client := &http.Client{Transport: transport}
	before, theirs := ownCPU(), f.cpu()
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(deliver.DefaultConcurrency)
	for i := range k.kept {
		g.Go(func() error { return k.kept[i].post(ctx, client) })
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	took := time.Since(began)
	name := fmt.Sprintf("%s, baseline", form)
	b.report.Add(result.Line{
		Case: name, Measure: "processor time, posting", Unit: "us/message",
		Value: float64((ownCPU() - before).Microseconds()) / float64(n),
	})
	b.addFakeCPU(name, f.cpu()-theirs, n)
	return float64(n) / took.Seconds(), nil
}

func (k *kept) post(ctx context.Context, client *http.Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.url.String(), bytes.NewReader(k.body))
	if err != nil {
		return err
	}
	r.Header = k.header
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return err
}

// standStill queues messages while the destination answers 503 to everything, a tenth of
// them first: what the process holds must not grow with what waits. Then it lets the
// destination answer again.
func standStill(ctx context.Context, b *bench, f *fake, n int) error {
	o, err := newOutbox(ctx, b)
	if err != nil {
		return err
	}
	defer o.drop(ctx)
	var t told
	d, closeQueue, err := o.deliverer(f.settings(), nil, &t, deliver.Pace{FirstDelay: time.Second / 4, LongestDelay: time.Second})
	if err != nil {
		return err
	}
	defer closeQueue()
	if err := f.reset(ctx); err != nil {
		return err
	}
	if err := f.faults(ctx, `[{"kind":"status","status":503,"count":-1}]`); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(running) }()

	name := fmt.Sprintf("standing still, %s messages", result.Number(float64(n)))
	began := time.Now()
	for _, part := range []int{n / 10, n - n/10} {
		peak, err := peakMemory(func() error {
			if err := o.queue(ctx, engine.FormIdentify, part); err != nil {
				return err
			}
			return sleep(ctx, 2*time.Second)
		})
		if err != nil {
			return err
		}
		b.report.Add(result.Line{Case: name, Measure: fmt.Sprintf("peak memory while %s are queued", result.Number(float64(part))), Value: peak, Unit: "MB"})
	}
	b.say("%s: %s refusals so far; the oldest waits for %s", name, result.Number(float64(t.others.Load())), t.lag().Round(time.Millisecond))
	if t.delivered.Load() > 0 {
		return errors.New("something was delivered to a destination that stands still")
	}
	if err := f.faults(ctx, `[]`); err != nil {
		return err
	}
	stood, began := time.Since(began), time.Now()
	done := make(chan struct{})
	go t.show(b, n, done)
	for t.delivered.Load() < int64(n) && ctx.Err() == nil {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			break
		}
	}
	took := time.Since(began)
	close(done)
	stop()
	if err := errors.Join(<-ended, ctx.Err()); err != nil {
		return err
	}
	if err := f.check(ctx, engine.FormIdentify, n); err != nil {
		return err
	}
	b.report.Add(result.Line{Case: name, Measure: "stood still for", Value: stood.Seconds(), Unit: "s"})
	b.report.Add(result.Line{Case: name, Measure: "until the last was told", Value: took.Seconds(), Unit: "s"})
	b.report.Add(result.Line{Case: name, Measure: "told meanwhile", Value: float64(n) / took.Seconds(), Unit: "messages/s"})
	return nil
}
