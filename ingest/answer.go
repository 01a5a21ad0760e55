package ingest

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"muster/event"
)

// Codes of answers that are not about the content of a message.
const (
	CodeInvalidWriteKey  event.Code = "invalid_write_key"
	CodeRateLimited      event.Code = "rate_limited"
	CodeUnavailable      event.Code = "unavailable"
	CodeNotFound         event.Code = "not_found"
	CodeMethodNotAllowed event.Code = "method_not_allowed"
)

// retryAfter is what a client is asked to wait while calls cannot be stored.
const retryAfter = time.Second

// refusal is an answer other than success.
type refusal struct {
	status  int
	code    event.Code
	message string
	field   string
	wait    time.Duration // when to come back; 0 means never
	// discarded makes the answer success although nothing was taken.
	discarded bool
}

func refuse(status int, code event.Code, message string) *refusal {
	return &refusal{status: status, code: code, message: message}
}

func unavailable(message string) *refusal {
	return &refusal{status: http.StatusServiceUnavailable, code: CodeUnavailable, message: message, wait: retryAfter}
}

// rejected is the answer for text that is refused for good.
func rejected(r *event.Rejection) *refusal {
	status := http.StatusBadRequest
	if r.Code == event.CodeTooManyEvents {
		status = http.StatusOK // as Segment answers; the body still tells
	}
	return &refusal{status: status, code: r.Code, message: r.Message, field: r.Field}
}

// Codes of answers that are success, for [APIConfig.OnAnswer] only.
const (
	codeOK        event.Code = "ok"
	codeDiscarded event.Code = "discarded" // of an unknown write key, see APIConfig.LenientAuth
)

// answered counts the answer to a request that brought calls.
func (a *API) answered(why *refusal) {
	switch {
	case a.cfg.OnAnswer == nil:
	case why == nil:
		a.cfg.OnAnswer(codeOK)
	case why.discarded:
		a.cfg.OnAnswer(codeDiscarded)
	default:
		a.cfg.OnAnswer(why.code)
	}
}

type failure struct {
	Code    event.Code `json:"code"`
	Message string     `json:"message"`
	Field   string     `json:"field,omitzero"`
}

// answer is the body of every answer but success.
type answer struct {
	Success bool    `json:"success"` // false
	Error   failure `json:"error"`
}

// reply writes the answer to a request: success if why is nil.
func reply(w http.ResponseWriter, why *refusal) {
	if why == nil || why.discarded {
		writeJSON(w, http.StatusOK, []byte(`{"success":true}`))
		return
	}
	if why.wait > 0 {
		w.Header().Set("Retry-After", seconds(why.wait))
	}
	if why.status == http.StatusTooManyRequests {
		w.Header().Set("X-RateLimit-Reset", seconds(why.wait)) // seconds too, as Segment means it
	}
	text, err := json.Marshal(answer{Error: failure{Code: why.code, Message: why.message, Field: why.field}})
	if err != nil {
		panic(fmt.Sprintf("ingest: marshal an answer: %v", err)) // flags and clean text cannot fail
	}
	writeJSON(w, why.status, text)
}

func writeJSON(w http.ResponseWriter, status int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone
}

// seconds writes a waiting time for a header: whole, at least one.
func seconds(d time.Duration) string {
	return strconv.Itoa(int(max(1, math.Ceil(d.Seconds()))))
}

// allowBrowsers lets pages of any origin send calls and read the answers. No cookie
// plays a part here, only the write key, which every page of the origin shows anyway.
func allowBrowsers(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-RateLimit-Reset")
}

// preflight answers the question that browsers ask before a request with an
// Authorization header.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "authorization, content-type, x-retry-count")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}
