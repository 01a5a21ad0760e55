package ingest

import (
	"net/http"
	"time"
)

// Limits of an HTTP server that serves the Tracking API, so that slow clients
// cannot hold it up. A mail's pixel carries its message in the URL, hence the size.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = 30 * time.Second  // of the whole request
	WriteTimeout      = 90 * time.Second  // from the end of its header; longer than AnswerTimeout
	IdleTimeout       = 120 * time.Second // between requests of a connection
	MaxHeaderBytes    = 64 << 10
)

// Harden sets the limits above where the server has none.
func Harden(s *http.Server) {
	defaultTo(&s.ReadHeaderTimeout, ReadHeaderTimeout)
	defaultTo(&s.ReadTimeout, ReadTimeout)
	defaultTo(&s.WriteTimeout, WriteTimeout)
	defaultTo(&s.IdleTimeout, IdleTimeout)
	defaultTo(&s.MaxHeaderBytes, MaxHeaderBytes)
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
