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

// Harden sets the limits above where the server has none, and has it close connections
// after requests that two servers may read differently.
func Harden(s *http.Server) {
	s.Handler = closeAfterChunks(s.Handler)
	s.ReadHeaderTimeout = cmp.Or(s.ReadHeaderTimeout, ReadHeaderTimeout)
	s.ReadTimeout = cmp.Or(s.ReadTimeout, ReadTimeout)
	s.WriteTimeout = cmp.Or(s.WriteTimeout, WriteTimeout)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, IdleTimeout)
	s.MaxHeaderBytes = cmp.Or(s.MaxHeaderBytes, MaxHeaderBytes)
}

// closeAfterChunks ends a connection with the answer to a request that came in chunks. If it
// named a length besides, RFC 9112, 6.1, demands that: what a proxy took for the end of it, by
// the length, may be another's request. net/http no longer tells whether it did.
func closeAfterChunks(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
