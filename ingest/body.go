package ingest

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"muster/event"
)

// Reasons to refuse a request before its messages are looked at.
const (
	CodeUnsupportedEncoding event.Code = "unsupported_encoding" // Content-Encoding other than gzip
	CodeTimeout             event.Code = "timeout"              // the body did not arrive in time
	CodeUnreadableBody      event.Code = "unreadable_body"      // the body broke off
)

// gzipSlack is how much larger than the text its compressed form may be: gzip adds
// a header and a few bytes per block to text that it cannot shrink.
const gzipSlack = 4_096

var unzippers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// readBody reads at most limit bytes of text from a body that may be compressed.
// What is too large is refused as soon as that is known: from the header, or after
// limit bytes, whatever the body would inflate to. tooLarge is the code for it. The memory
// for the text comes out of h, whose owner gives it back.
func readBody(w http.ResponseWriter, r *http.Request, limit int, tooLarge event.Code, h *hold) ([]byte, *refusal) {
	large := func() *refusal {
		return refuse(http.StatusBadRequest, tooLarge, fmt.Sprintf("the body is larger than %d bytes", limit))
	}
	zipped := false
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		zipped = true
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, CodeUnsupportedEncoding, "Content-Encoding may be gzip or absent")
	}
	onWire := int64(limit)
	if zipped {
		onWire += gzipSlack
	}
	if r.ContentLength > onWire {
		return nil, large()
	}
	wire := http.MaxBytesReader(w, r.Body, onWire)
	text := io.Reader(wire)
	if zipped {
		unzip := unzippers.Get().(*gzip.Reader)
		defer unzippers.Put(unzip)
		if err := unzip.Reset(wire); err != nil {
			return nil, bodyFault(err, zipped, large)
		}
		text = unzip
	}
	raw, err := readUpTo(text, limit, int(r.ContentLength), h)
	switch {
	case errors.Is(err, errNoRoom):
		return nil, unavailable("too many requests at once")
	case err != nil:
		return nil, bodyFault(err, zipped, large)
	case len(raw) > limit:
		return nil, large()
	}
	return raw, nil
}

// errNoRoom says that there is no memory for more of a body.
var errNoRoom = errors.New("no room for the body")

// readUpTo reads r to its end, or one byte more than limit. The length that the client
// announces, -1 if none, is believed only so far: memory follows what arrives.
func readUpTo(r io.Reader, limit, announced int, h *hold) ([]byte, error) {
	size := firstBuffer
	if announced >= 0 {
		size = min(size, announced+1)
	}
	if !h.grow(size) {
		return nil, errNoRoom
	}
	raw := make([]byte, 0, size)
	for {
		if len(raw) == cap(raw) {
			size = min(4*cap(raw), limit+1)
			if announced >= 0 && announced < limit && cap(raw) <= announced {
				size = min(size, announced+1)
			}
			if !h.grow(size - cap(raw)) {
				return nil, errNoRoom
			}
			raw = append(make([]byte, 0, size), raw...)
		}
		n, err := r.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if errors.Is(err, io.EOF) || len(raw) > limit {
			return raw, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// bodyFault tells why reading a body failed.
func bodyFault(err error, zipped bool, large func() *refusal) *refusal {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return large()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, CodeTimeout, "the body did not arrive in time")
	case zipped:
		return refuse(http.StatusBadRequest, event.CodeInvalidFormat, "the body is not complete gzip")
	}
	return refuse(http.StatusBadRequest, CodeUnreadableBody, "the body broke off")
}
