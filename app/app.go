// Package app assembles the product: the engine on its store, the scheduler, the
// delivery to its destinations, and the way in. It decides nothing; it is where the
// packages that must not know each other meet.
package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"muster/deliver"
	"muster/engine"
	"muster/identity"
	"muster/mixpanel"
	"muster/scheduler"
	"muster/store"
	"muster/web"
)

// Options are what an App is made of.
type Options struct {
	Store        *store.Store
	Identity     identity.Settings
	Destinations map[string]mixpanel.Settings // by name
	// Configured says that the destinations are what the database knows of them already (see
	// store.Configure), perhaps without some that cannot be told anything from here. Else those
	// there become all that it knows.
	Configured bool
	// Forward names, by destination, the sources whose own calls Sink forwards to it.
	Forward     map[string][]string
	Pace        deliver.Pace
	Paces       map[string]deliver.Pace // of destinations that have their own
	HTTP        *http.Client            // to destinations; nil: one of the client's own
	Now         func() time.Time        // the clock
	DedupWindow time.Duration           // how long message ids are remembered; 0: DefaultDedupWindow
	Retention   Retention               // how long events and the history of values are kept
	Log         *slog.Logger            // nil: nothing is logged
	Metrics     *web.Metrics            // nil: nothing is counted

	// Watch, if not nil, is put in front of each destination.
	Watch func(name string, d deliver.Destination) deliver.Destination
}

// DefaultDedupWindow is how long message ids are remembered.
const DefaultDedupWindow = 7 * 24 * time.Hour

// App is a running or settling Muster. Its parts may be used directly.
type App struct {
	Engine *engine.Engine
	Store  *store.Store

	rules       *identity.Rules
	now         func() time.Time
	dedupWindow time.Duration
	retention   Retention
	metrics     *web.Metrics // nil: nothing is counted
	log         *slog.Logger
	targets     []deliver.Target
	outlets     map[string][]outlet             // by the name of a source; nil: nothing is forwarded
	projects    map[int64]*mixpanel.Destination // that something is forwarded to
	queue       *store.Queue
	deliverer   *deliver.Deliverer
	runner      *scheduler.Runner
	wake        chan struct{} // to the scheduler: the schedules in use may have changed
	defined     chan struct{} // to the backfill loop: something may wait for it
}

// New assembles an App and makes its destinations known to the database.
func New(ctx context.Context, o Options) (*App, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	rules, err := o.Identity.Compile()
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	a := &App{
		Engine: engine.New(o.Store, rules), Store: o.Store,
		rules: rules, now: o.Now, dedupWindow: cmp.Or(o.DedupWindow, DefaultDedupWindow), retention: o.Retention, metrics: o.Metrics, log: o.Log, queue: o.Store.Queue(),
		wake: make(chan struct{}, 1), defined: make(chan struct{}, 1),
	}
	kinds := make(map[string]string, len(o.Destinations))
	aliasing := make(map[string]engine.Aliasing, len(o.Destinations))
	projects := make(map[string]*mixpanel.Destination, len(o.Destinations))
	for name, settings := range o.Destinations {
		project, err := mixpanel.NewDestination(settings, o.HTTP)
		if err != nil {
			return nil, fmt.Errorf("destination %s: %w", name, err)
		}
		project.LeaveSettling()
		a.countWarnings(name, project)
		var d deliver.Destination = project
		if o.Watch != nil {
			d = o.Watch(name, d)
		}
		d = withholding{d, a}
		pace, own := o.Paces[name]
		if !own {
			pace = o.Pace
		}
		if pace.Settle == 0 {
			pace.Settle = cmp.Or(project.Settle(), -1)
		}
		projects[name] = project
		a.targets = append(a.targets, deliver.Target{Name: name, Destination: d, Pace: pace, Repeatable: project.Repeatable})
		kinds[name], aliasing[name] = "mixpanel", settings.Aliasing(len(o.Forward[name]) > 0)
	}
	if !o.Configured {
		if err := o.Store.EnsureDestinations(ctx, kinds, o.Now()); err != nil {
			return nil, err
		}
		if err := o.Store.SetAliasing(ctx, aliasing); err != nil {
			return nil, err
		}
	}
	if err := a.connect(ctx, o.Forward, projects); err != nil {
		return nil, err
	}
	var counted deliver.Metrics
	if o.Metrics != nil {
		counted = countedMessages{o.Metrics}
	}
	a.deliverer, err = deliver.New(deliver.Config{
		Metrics: counted,
		Queue:   a.queue, Owner: uuid.NewString(), Now: o.Now, Random: rand.Float64, Log: o.Log,
		Targets: func(context.Context) ([]deliver.Target, error) { return a.targets, nil },
	})
	if err != nil {
		return nil, err
	}
	a.runner = &scheduler.Runner{Slots: o.Store.Slots(), Work: a.slot, Now: o.Now, Wake: a.wake, Log: o.Log}
	return a, nil
}

// Close lets go of the database connection that listens; the store stays open.
func (a *App) Close() { a.queue.Close() }

// Define creates and edits computations, see engine.Engine.Define. Their backfill is
// done by Run or Settle.
func (a *App) Define(ctx context.Context, definitions []engine.Definition) ([]*engine.DefinitionError, error) {
	for i := range definitions {
		if err := normalize(&definitions[i]); err != nil {
			return nil, err
		}
	}
	refused, err := a.Engine.Define(ctx, definitions, a.now())
	poke(a.defined)
	return refused, err
}

// Run works until the context ends: it backfills, runs slots and delivers, also to
// destinations that had stopped by themselves. Then it lets what is at hand finish.
func (a *App) Run(ctx context.Context) error {
	if err := a.Store.Unhalt(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.deliverer.Run(ctx) })
	g.Go(func() error { return a.runner.Run(ctx) })
	g.Go(func() error { return a.backfillLoop(ctx) })
	g.Go(func() error { return a.retellLoop(ctx) })
	g.Go(func() error { return a.sweepLoop(ctx) })
	return g.Wait()
}

// Settle does all that is due now and returns: backfills, slots, resyncs and cleanups, deliveries. It is for
// those who move the clock themselves, and must not be called while Run works.
func (a *App) Settle(ctx context.Context) error {
	if err := a.Backfill(ctx, nil); err != nil {
		return err
	}
	if err := a.RunSlots(ctx); err != nil {
		return err
	}
	if err := a.Retell(ctx); err != nil {
		return err
	}
	return a.Deliver(ctx)
}

// RunSlots computes the slots that are due now.
func (a *App) RunSlots(ctx context.Context) error { return a.runner.Settle(ctx) }

// Deliver tells the destinations what is queued now.
func (a *App) Deliver(ctx context.Context) error { return a.deliverer.Drain(ctx) }

// Backfill computes the definitions that wait for it, and returns when none is left.
// progress, if not nil, is called after each chunk.
func (a *App) Backfill(ctx context.Context, progress func(engine.BackfillProgress)) error {
	for {
		waits, err := a.waiting(ctx)
		if err != nil || !waits {
			return err
		}
		if _, err := a.Engine.BeginBackfill(ctx, latest, a.now()); err != nil {
			return err
		}
		var moved changes
		for {
			p, err := a.Engine.StepBackfill(ctx, a.now())
			if err != nil {
				return err
			}
			moved.add(p.Tallies)
			if progress != nil {
				progress(p)
			}
			if p.Finished {
				a.log.Info("backfill complete", "backfill", p.ID, "took", a.now().Sub(p.StartedAt), "profiles", p.Done, "events", p.EventsRead,
					"entered", moved.entered, "exited", moved.exited, "changed", moved.changed)
				break
			}
		}
		poke(a.wake)
	}
}

// waiting tells whether a backfill runs or a definition waits for one.
func (a *App) waiting(ctx context.Context) (bool, error) {
	c, err := a.Engine.Catalog(ctx)
	if err != nil {
		return false, err
	}
	return c.Waits(), nil
}

// backfillPoll is how late a definition from another process is seen.
const backfillPoll = 5 * time.Second

func (a *App) backfillLoop(ctx context.Context) error {
	for {
		err := a.Backfill(ctx, nil)
		if err != nil && ctx.Err() == nil {
			a.log.Error("backfill failed, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.defined:
		case <-time.After(backfillPoll):
		}
	}
}

func (a *App) slot(ctx context.Context, s scheduler.Slot, _ int) error {
	began := a.now()
	result, err := a.Engine.RunSlot(ctx, s.Key, s.At, began)
	if err != nil {
		return err
	}
	if a.metrics != nil {
		a.metrics.Slot(s.Key, a.now().Sub(began), a.now().Sub(s.At))
	}
	var moved changes
	moved.add(result.Tallies)
	a.log.Info("slot computed", "schedule", s.Key, "slot", s.At, "took", a.now().Sub(began), "computations", len(result.Tallies),
		"events", result.EventsRead, "profiles", result.Profiles, "entered", moved.entered, "exited", moved.exited, "changed", moved.changed)
	return nil
}

// countWarnings counts what is odd in the messages to a destination.
func (a *App) countWarnings(name string, project *mixpanel.Destination) {
	if a.metrics == nil {
		return
	}
	for _, warning := range mixpanel.AllWarnings.Names() {
		a.metrics.Warned(name, warning, 0)
	}
	project.OnWarning(func(warning string) { a.metrics.Warned(name, warning, 1) })
}

// changes are what a run has done to all of its computations.
type changes struct{ entered, exited, changed int64 }

func (c *changes) add(tallies []*engine.Tally) {
	for _, t := range tallies {
		c.entered += t.Entered
		c.exited += t.Exited
		c.changed += t.Changed
	}
}

// countedMessages counts what delivery does. How long messages wait is read from the
// database, where the lanes of all processes are seen.
type countedMessages struct{ *web.Metrics }

// Lag implements deliver.Metrics.
func (countedMessages) Lag(deliver.Lane, time.Duration) {}

// latest implements engine.Latest.
func latest(schedule string, at time.Time) (time.Time, error) {
	s, err := scheduler.Parse(schedule)
	if err != nil {
		return time.Time{}, err
	}
	return s.Latest(at), nil
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
