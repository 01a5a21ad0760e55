package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"muster/app"
	"muster/config"
	"muster/ingest"
	"muster/mixpanel"
	"muster/store"
	"muster/web"
)

// shutdownGrace bounds how long requests at hand may take once serve is told to stop.
const shutdownGrace = 20 * time.Second

func newServe(env *environment) *cobra.Command {
	var db databaseFlags
	var listen, listenAPI, profile string
	var verbose bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Take calls, compute, and tell Mixpanel, until stopped",
		Long: `Serve runs Muster: the Tracking API, the computations, their schedule, and delivery; for
those who have a token (muster token) also the admin API and the Profile API. Without a
database address it starts a private PostgreSQL and says where.

When it starts it brings in what muster.yaml has: sources, identity rules, destinations,
audiences and traits; what is not there stays as it is. From then on it follows what muster
apply and other commands change, within seconds.

The first interrupt lets what is at hand finish; a second one stops at once. Nothing
that was answered 200 is lost either way.`,
		Example: `  muster serve
  muster serve --config /etc/muster.yaml --listen 127.0.0.1:9000
  DATABASE_URL=postgres://muster@db/muster muster serve`,
		Args: exactly(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			c, err := db.load(env)
			if err != nil {
				return err
			}
			if listen != "" {
				c.Listen = listen
			}
			if listenAPI != "" {
				c.API.Listen = listenAPI
			}
			return profiled(profile, func() error { return serve(cmd.Context(), env, &db, c, env.logger(level)) })
		},
	}
	db.add(cmd)
	cmd.Flags().StringVar(&listen, "listen", "", "`address` of the Tracking API; overrides the configuration")
	cmd.Flags().StringVar(&listenAPI, "api-listen", "", "`address` of the admin API and the Profile API, or none; overrides the configuration")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log more")
	cmd.Flags().StringVar(&profile, "cpuprofile", "", "write a CPU profile of the whole run to this `file`, for go tool pprof")
	return cmd
}

// profiled runs f with a CPU profile of it written to a file; without a name it only runs it.
func profiled(name string, f func() error) (err error) {
	if name == "" {
		return f()
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

// gcPercent makes serve collect garbage half as often as Go's programs usually do: little of
// what it makes stays, so that it costs little memory. GOGC goes before it.
const gcPercent = 200

func serve(ctx context.Context, env *environment, db *databaseFlags, c *config.Config, log *slog.Logger) (err error) {
	s, server, closeDB, err := db.open(ctx, env, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeDB()) }()
	if _, set := env.lookup("GOGC"); !set {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	letReadersIn(ctx, server.DSN(), log)
	if err := configure(ctx, env, s, c, log); err != nil {
		return err
	}
	metrics := web.NewMetrics(s, env.now)
	built := buildInfo()
	metrics.Built(built.Version, built.Revision, built.Go)
	f := &following{env: env, store: s, config: c, log: log, metrics: metrics}
	f.collector = ingest.NewCollector(f, ingest.CollectorConfig{Log: log})
	apis, err := env.openAPIs(ctx, f, log)
	if err != nil {
		return err
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	defer func() { f.now.Load().app.Close() }()
	if err := define(ctx, f.now.Load().app, c, log); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, s, f.collector) })
	front := &http.Server{Handler: apis.beside(paths(http.HandlerFunc(f.tracking), mux)), ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	ingest.Harden(front)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for the Tracking API: %w", err)
	}
	log.Info("serving", "version", built.Version, "listen", listener.Addr().String(), "sources", len(c.Sources), "destinations", len(f.now.Load().config.Destinations),
		"computations", len(c.Definitions()))

	// Requests end first, then the collector that stores their calls and the recorder that
	// shows them, then the rest.
	collecting, stopCollecting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCollecting()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := front.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		log.Info("stopping")
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		err := front.Shutdown(grace)
		stopCollecting()
		return err
	})
	apis.run(ctx, g, log)
	g.Go(func() error { return f.collector.Run(collecting) })
	g.Go(func() error { return f.run(ctx, collecting) })
	g.Go(func() error {
		select {
		case <-server.Done():
			return errors.New("the private PostgreSQL has ended; see its log in " + server.Dir())
		case <-ctx.Done():
			return nil
		}
	})
	err = g.Wait()
	log.Info("stopped")
	return err
}

// inBrowsers is what the libraries of sources in device mode are given, by the names of source
// and integration. A source must be known by now.
func inBrowsers(ctx context.Context, s *store.Store, c *config.Config, now time.Time, log *slog.Logger) (map[string]map[string]jsontext.Value, error) {
	modes, settings := c.DeviceMode(), c.MixpanelSettings()
	if len(modes) == 0 {
		return nil, nil
	}
	known, err := s.Sources(ctx, now)
	if err != nil {
		return nil, err
	}
	given := make(map[string]map[string]jsontext.Value)
	for _, destination := range slices.Sorted(maps.Keys(modes)) {
		project := settings[destination]
		text, err := project.ForBrowsers()
		if err != nil {
			return nil, fmt.Errorf("destination %s: %w", destination, err)
		}
		for _, source := range modes[destination] {
			if !slices.ContainsFunc(known, func(k store.Source) bool { return k.Name == source }) {
				return nil, fmt.Errorf("destination %s: there is no source %q whose pages could tell it themselves; correct the name in device_sources, add it to sources, or make it with muster source create %s",
					destination, source, source)
			}
			given[source] = map[string]jsontext.Value{mixpanel.IntegrationName: text}
		}
		log.Info("pages tell it themselves", "destination", destination, "sources", modes[destination])
	}
	return given, nil
}

// define brings the configured computations in. One that is refused does not keep the
// others from being served: it is reported, and what was defined before stays.
func define(ctx context.Context, a *app.App, c *config.Config, log *slog.Logger) error {
	refused, err := a.Define(ctx, c.Definitions())
	if err != nil {
		return err
	}
	for _, r := range refused {
		log.Error("definition refused", "key", r.Key, "reason", r.Error())
	}
	configured := make(map[string]bool)
	for _, def := range c.Definitions() {
		configured[def.Key] = true
	}
	catalog, err := a.Engine.Catalog(ctx)
	if err != nil {
		return err
	}
	for _, comp := range catalog.Computations {
		if len(configured) > 0 && !configured[comp.Key] {
			log.Warn("computed, but not in the configuration any more", "key", comp.Key)
		}
	}
	return nil
}

// paths gives the Tracking API its paths before ServeMux sees them: it would answer
// //v1/batch with a redirect, which turns a client's POST into a GET.
func paths(api, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(path.Clean("/"+r.URL.Path), "/v1/") {
			api.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}
