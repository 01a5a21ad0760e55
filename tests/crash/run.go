package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"muster/mixpanel/mixpaneltest"
)

// Options say how often what is killed.
type Options struct {
	Program   string // path of the muster binary
	Dir       string // an empty folder that anybody may enter, for the configuration and PostgreSQL
	Kills     int
	Processes int       // of muster serve on one database: 1, with a private PostgreSQL, or 2
	Seed      uint64    // of everything that is drawn
	WholeSlot bool      // at the end wait for a slot that has seen everything: a minute
	Log       io.Writer // receives the logs of the processes; nil discards them
	Progress  func(text string)
}

// Run kills as often as it is asked to, lets all come to rest and compares. The error says that
// the test could not be done to its end; what was found to be wrong is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Processes < 1 || o.Processes > 2 || o.Kills < 0 {
		return nil, errors.New("one or two processes can be killed, as often as you like")
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	t := newTrial(o)
	if err := t.run(ctx); err != nil {
		return nil, err // what was not compared looks as if nothing differed
	}
	return t.report, nil
}

func newTrial(o Options) *trial {
	return &trial{options: o, report: &Report{Seed: o.Seed, Processes: o.Processes, Differences: []string{}}, r: rand.New(rand.NewPCG(o.Seed, 0))}
}

// trial is one run.
type trial struct {
	options  Options
	report   *Report
	r        *rand.Rand
	profiles *mixpaneltest.Server // the destination that is told properties, and forwarded calls
	events   *mixpaneltest.Server // the one that is told events
	system   *system
	requests []*request

	editing sync.Mutex // held while the configuration is written and applied, and while processes start
	edition edition
	then    func(context.Context) error // what a test does when all has been compared

	edits     int // that were applied
	disturbed int // that failed, because something was dead
}

func (t *trial) run(ctx context.Context) (err error) {
	start := time.Now()
	for _, fake := range []struct {
		server  **mixpaneltest.Server
		project mixpaneltest.Project
	}{
		{&t.profiles, mixpaneltest.Project{Token: token, IDMerge: mixpaneltest.Original, GroupKeys: []string{"company"}}},
		{&t.events, mixpaneltest.Project{Token: token}},
	} {
		server := mixpaneltest.NewServer(mixpaneltest.Options{Projects: []mixpaneltest.Project{fake.project}})
		if _, err := server.Start("127.0.0.1:0"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		*fake.server = server
	}
	t.edition = edition{Orders: 2, Revenue: 300, Seconds: 90, Category: categories[0]}
	config, err := t.edition.write(token, t.profiles.URL(), t.events.URL())
	if err != nil {
		return err
	}
	if t.system, err = newSystem(t.options, config); err != nil {
		return err
	}
	if err := t.system.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.system.end()) }()
	if err := t.load(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := t.rest(ctx); err != nil {
		return err
	}
	t.report.Rest = seconds(time.Since(began))
	// What is not at rest differs everywhere: that it is not is all there is to say.
	if len(t.report.Differences) > 0 {
		return nil
	}
	err = t.compare(ctx)
	t.report.Took = seconds(time.Since(start))
	if err != nil || t.then == nil {
		return err
	}
	return t.then(ctx)
}

const token = mixpaneltest.DefaultToken

// load kills while clients send, definitions are edited and Mixpanel fails.
func (t *trial) load(ctx context.Context) (err error) {
	t.fail()
	clients := startClients(t.system.urls(), t.r)
	editing, stopEditing := context.WithCancel(ctx)
	var editor sync.WaitGroup
	own := rand.New(rand.NewPCG(t.options.Seed, 1))
	editor.Go(func() { t.edit(editing, own) })
	defer func() {
		stopEditing()
		editor.Wait()
		t.requests = clients.stop()
		t.profiles.SetFaults()
		t.events.SetFaults()
	}()
	for n := range t.options.Kills {
		if err := sleep(ctx, t.moment()); err != nil {
			return err
		}
		if lost := t.system.lost(); lost > 0 {
			t.report.differ("%d processes had ended by themselves before kill %d", lost, n+1)
			return nil
		}
		b := t.system.strike(t.r)
		clients.longest.Store(0)
		if err := t.kill(ctx, b, clients); err != nil {
			return fmt.Errorf("kill %d (%s): %w", n+1, b, err)
		}
		if err := awaitAnswer(ctx, clients); err != nil {
			return fmt.Errorf("after kill %d (%s): %w", n+1, b, err)
		}
		recovered := time.Duration(clients.longest.Load())
		t.report.count(b, recovered)
		t.options.Progress(fmt.Sprintf("kill %d of %d: %s, answered again after %v; %d requests answered", n+1, t.options.Kills, b, recovered.Round(time.Millisecond), clients.count.Load()))
	}
	return sleep(ctx, time.Second)
}

// moment is when the next blow falls: at random, and now and then right behind the full
// minute, when slots run.
func (t *trial) moment() time.Duration {
	at := time.Duration(100+t.r.IntN(1_500)) * time.Millisecond
	now := time.Now()
	if minute := now.Truncate(time.Minute).Add(time.Minute).Sub(now); minute < 4*time.Second {
		return minute + time.Duration(t.r.IntN(400))*time.Millisecond
	}
	return at
}

// kill delivers a blow and starts what it has killed: PostgreSQL at once; a process after a
// while in which the other one, if there is one, has to do everything.
func (t *trial) kill(ctx context.Context, b blow, clients *clients) error {
	if err := t.system.hit(b, t.r); err != nil {
		return err
	}
	t.editing.Lock()
	defer t.editing.Unlock()
	if t.options.Processes > 1 {
		if t.system.postgres == nil {
			if err := t.system.startPostgres(ctx); err != nil {
				return fmt.Errorf("%w\n%s", err, t.system.postgresLog())
			}
		}
		if alive := t.system.urls(); len(alive) > 0 {
			clients.moveTo(alive)
			pause := time.Duration(t.r.IntN(2_000)) * time.Millisecond
			if t.r.IntN(10) == 0 {
				pause = 12 * time.Second // longer than the dead one's leases on lanes of the queue
			}
			if err := sleep(ctx, pause); err != nil {
				return err
			}
		}
	}
	if err := t.system.start(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, t.system.postgresLog())
	}
	clients.moveTo(t.system.urls())
	return nil
}

// awaitAnswer waits until somebody is answered 200.
func awaitAnswer(ctx context.Context, clients *clients) error {
	before := clients.count.Load()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if clients.count.Load() > before {
			return nil
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("nobody was answered for two minutes")
}

// edit changes the definitions now and then, until the context ends.
func (t *trial) edit(ctx context.Context, r *rand.Rand) {
	for sleep(ctx, time.Duration(1_000+r.IntN(4_000))*time.Millisecond) == nil {
		t.editing.Lock()
		err := t.apply(ctx, t.edition.edit(r))
		t.editing.Unlock()
		if err != nil {
			t.disturbed++
		} else {
			t.edits++
		}
	}
}

// apply makes an edition the configuration.
func (t *trial) apply(ctx context.Context, next edition) error {
	text, err := next.write(token, t.profiles.URL(), t.events.URL())
	if err != nil {
		return err
	}
	t.edition = next
	if err := t.system.configure(text); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err = t.system.command(ctx, "apply", "--yes", "--no-count")
	return err
}

// fail lets both imitations of Mixpanel fail: refuse, break connections before and after they
// have taken what was sent, and answer late.
func (t *trial) fail() {
	for _, fake := range []*mixpaneltest.Server{t.profiles, t.events} {
		var script []mixpaneltest.Fault
		for _, f := range []mixpaneltest.Fault{
			{Kind: mixpaneltest.FaultStatus, Status: 503, Probability: .01},
			{Kind: mixpaneltest.FaultStatus, Status: 500, Applied: true, Probability: .01},
			{Kind: mixpaneltest.FaultStatus, Status: 429, RetryAfter: time.Second, Probability: .01},
			{Kind: mixpaneltest.FaultCloseBefore, Probability: .01},
			{Kind: mixpaneltest.FaultCloseAfter, Probability: .02},
			{Kind: mixpaneltest.FaultDelay, Delay: 300 * time.Millisecond, Applied: true, Probability: .05},
		} {
			f.Seed = t.r.Uint64()
			script = append(script, f)
		}
		fake.SetFaults(script...)
	}
}

// sleep waits, or returns the context's error if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
