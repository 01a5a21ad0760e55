package ingest

import (
	"cmp"
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
	s.ReadHeaderTimeout = cmp.Or(s.ReadHeaderTimeout, ReadHeaderTimeout)
	s.ReadTimeout = cmp.Or(s.ReadTimeout, ReadTimeout)
	s.WriteTimeout = cmp.Or(s.WriteTimeout, WriteTimeout)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, IdleTimeout)
	s.MaxHeaderBytes = cmp.Or(s.MaxHeaderBytes, MaxHeaderBytes)
}
