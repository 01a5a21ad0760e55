package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"muster/api"
	"muster/app"
	"muster/config"
	"muster/event"
	"muster/ingest"
	"muster/store"
	"muster/web"
)

// configurationPoll is how late a change of destinations or identity rules is seen.
const configurationPoll = 2 * time.Second

// following serves with the destinations and identity rules that the database has. When
// they change it assembles an app anew, which takes over from the one before as another
// process would: both may work on one database.
type following struct {
	env       *environment
	store     *store.Store
	config    *config.Config // its own
	log       *slog.Logger
	metrics   *web.Metrics
	collector *ingest.Collector
	withAPIs  bool

	now atomic.Pointer[assembly]
}

// assembly is what stays the same as long as destinations and identity rules do.
type assembly struct {
	config   *config.Config
	revision int64
	app      *app.App
	sink     ingest.Sink
	recorder *app.Recorder
	tracking http.Handler
	apis     http.Handler
}

// assemble makes an assembly of what the database has now.
func (f *following) assemble(ctx context.Context) (*assembly, error) {
	c, revision, err := asApplied(ctx, f.env, f.store, f.config, f.log)
	if err != nil {
		return nil, err
	}
	a, err := app.New(ctx, app.Options{
		Store: f.store, Identity: c.Identity, Destinations: c.MixpanelSettings(), Configured: true, Forward: c.Forwarding(), Paces: c.Paces(),
		Now: f.env.now, Log: f.log, Metrics: f.metrics, DedupWindow: c.DedupWindow, Retention: app.Retention(c.Retention.Times()),
	})
	if err != nil {
		return nil, err
	}
	n := &assembly{config: c, revision: revision, app: a, sink: a.Sink(), recorder: a.Recorder()}
	integrations, err := inBrowsers(ctx, f.store, c, f.env.now(), f.log)
	if err == nil {
		n.tracking, err = ingest.NewAPI(ingest.APIConfig{
			Sources: f.store.WriteKeys(f.env.now), Collector: f.collector, Recorder: n.recorder, Now: f.env.now, Log: f.log, LenientAuth: c.LenientAuth,
			PublicURL: c.PublicURL, Integrations: integrations, ClientIP: ingest.BehindProxies(c.Proxies()), DefaultRate: c.DefaultRate,
			OnAnswer: func(code event.Code) { f.metrics.Answered(string(code)) },
		})
	}
	if err == nil && f.withAPIs {
		n.apis, err = api.New(api.Config{App: a, Tokens: f.store.TokenBook(f.env.now), Now: f.env.now, Log: f.log, Rate: c.API.Rate})
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return n, nil
}

// Ingest implements ingest.Sink.
func (f *following) Ingest(ctx context.Context, items []ingest.Item) ([]ingest.Result, error) {
	return f.now.Load().sink.Ingest(ctx, items)
}

// tracking serves the Tracking API.
func (f *following) tracking(w http.ResponseWriter, r *http.Request) {
	f.now.Load().tracking.ServeHTTP(w, r)
}

// apis serves the admin API and the Profile API.
func (f *following) apis(w http.ResponseWriter, r *http.Request) {
	f.now.Load().apis.ServeHTTP(w, r)
}

// run works until the context ends, and leaves the last app open. What shows the latest calls goes on until collecting ends.
func (f *following) run(ctx, collecting context.Context) error {
	for {
		n := f.now.Load()
		working, stopWorking := context.WithCancel(ctx)
		recording, stopRecording := context.WithCancel(collecting)
		worked, recorded := make(chan error, 1), make(chan error, 1)
		go func() { worked <- n.app.Run(working) }()
		go func() { recorded <- n.recorder.Run(recording) }()
		next := f.await(ctx, n.revision, worked)
		if next != nil {
			f.now.Store(next)
			f.log.Info("following what was applied", "destinations", len(next.config.Destinations))
		}
		stopWorking()
		err := <-worked
		if next != nil || err != nil {
			stopRecording()
		}
		if failed := <-recorded; err == nil {
			err = failed
		}
		stopRecording()
		if err != nil || next == nil {
			return err
		}
		n.app.Close()
	}
}

// await waits for another revision, and returns what follows it: nil when the context ends,
// or the work. What cannot be followed is logged, and tried again.
func (f *following) await(ctx context.Context, revision int64, worked chan error) *assembly {
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-worked:
			worked <- err
			return nil
		case <-time.After(configurationPoll):
		}
		latest, err := f.store.ConfigurationRevision(ctx)
		if err == nil && latest == revision {
			continue
		}
		var next *assembly
		if err == nil {
			next, err = f.assemble(ctx)
		}
		switch {
		case err == nil:
			return next
		case ctx.Err() == nil && err.Error() != said:
			said = err.Error()
			f.log.Error("going on as before, because what was applied cannot be followed", "error", err)
		}
	}
}

// begin assembles what is served first.
func (f *following) begin(ctx context.Context) error {
	n, err := f.assemble(ctx)
	if err == nil {
		f.now.Store(n)
	}
	return err
}
