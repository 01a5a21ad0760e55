package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"muster/ingest"
	"muster/store"
)

// readyPatience is how long the database may take to answer before it counts as down.
const readyPatience = 2 * time.Second

// ready answers whether calls can be taken now: the database answers, takes writes, and has
// the schema of this program, and calls do get stored.
func ready(w http.ResponseWriter, r *http.Request, s *store.Store, c *ingest.Collector) {
	ctx, cancel := context.WithTimeout(r.Context(), readyPatience)
	defer cancel()
	err := s.Ready(ctx)
	if err == nil {
		err = c.Trouble()
	}
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintln(w, "ready")
}
