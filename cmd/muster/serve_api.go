package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"muster/api"
	"muster/ingest"
)

// apis are the admin API and the Profile API as they are served.
type apis struct {
	handler  http.Handler // nil: they are not
	listener net.Listener // at their own address; nil: beside the Tracking API
}

// openAPIs makes the APIs and listens where they are served.
func (env *environment) openAPIs(ctx context.Context, f *following, log *slog.Logger) (*apis, error) {
	address, beside := f.config.APIAddress()
	if address == "" {
		log.Info("the APIs are not served; api.listen says where they are to be")
		return &apis{}, nil
	}
	f.withAPIs = true
	handler := untilStopped(ctx, http.HandlerFunc(f.apis))
	if beside {
		return &apis{handler: handler}, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the APIs: %w", err)
	}
	log.Info("serving the APIs", "listen", listener.Addr().String())
	return &apis{handler, listener}, nil
}

// untilStopped breaks off requests when the context ends: some may take longer than
// stopping may. What they had to do can be done again.
func untilStopped(ctx context.Context, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		h.ServeHTTP(w, r.WithContext(own))
	})
}

// beside gives the APIs their paths before all others, if they have no address of their own.
func (s *apis) beside(others http.Handler) http.Handler {
	if s.handler == nil || s.listener != nil {
		return others
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.Owns(r.URL.Path) {
			s.handler.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// run serves the APIs at their own address until the context ends.
func (s *apis) run(ctx context.Context, g *errgroup.Group, log *slog.Logger) {
	if s.listener == nil {
		return
	}
	server := &http.Server{Handler: s.handler, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	ingest.Harden(server)
	g.Go(func() error {
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		return server.Shutdown(grace)
	})
}
