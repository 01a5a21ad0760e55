package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"muster/engine"
	"muster/query"
	"muster/store"
)

// fault is an answer other than success.
type fault struct {
	status  int
	message string // what is wrong, and the remedy
	field   string // where: of the body, the query or the path; "": nowhere in particular
	data    any    // more about it, for programs
	wait    time.Duration
	code    string // of the Profile API, where the status does not say it
}

func (f *fault) Error() string { return f.message }

// bad is a fault of a parameter.
func bad(field, message string) *fault {
	return &fault{status: http.StatusBadRequest, field: field, message: message, code: "validation_error"}
}

// unfit is a fault of a field of the body, which could be read.
func unfit(field, message string) *fault {
	return &fault{status: http.StatusUnprocessableEntity, field: field, message: message}
}

// dialect is how one of the APIs says things.
type dialect struct {
	token       func(*http.Request) string
	challenge   string // for WWW-Authenticate
	howTo       string
	wrap        func(value any) any
	wrapFault   func(*fault) any
	knownParams bool // parameters that are not known are refused
	countParam  string
	cursorParam string
}

// The dialects of the two APIs.
var (
	admin = &dialect{
		token: bearer, challenge: `Bearer realm="muster"`,
		howTo: "send a token as Authorization: Bearer TOKEN; make one with: muster token create NAME",
		wrap:  func(value any) any { return map[string]any{"data": value} }, wrapFault: adminFault,
		knownParams: true, countParam: "pagination.count", cursorParam: "pagination.cursor",
	}
	profile = &dialect{
		token: basic, challenge: `Basic realm="muster"`,
		howTo: "send a token as the user name of Basic authentication, with an empty password; make one with: muster token create NAME",
		wrap:  func(value any) any { return value }, wrapFault: profileFault,
		countParam: "limit", cursorParam: "next",
	}
)

// unauthorized asks for a token.
func (d *dialect) unauthorized(w http.ResponseWriter) *fault {
	w.Header().Set("WWW-Authenticate", d.challenge)
	return &fault{status: http.StatusUnauthorized, message: "there is no such token: " + d.howTo}
}

// adminFaults are the errors of an answer of the admin API.
type adminFaults struct {
	Errors []adminError `json:"errors"`
}

type adminError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
	Data    any    `json:"data,omitempty"`
	Status  int    `json:"status"`
}

var faultTypes = map[int]string{
	http.StatusBadRequest: "bad-request", http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden",
	http.StatusNotFound: "not-found", http.StatusMethodNotAllowed: "method-not-allowed", http.StatusConflict: "conflict",
	http.StatusRequestEntityTooLarge: "payload-too-large", http.StatusUnprocessableEntity: "validation-error",
	http.StatusTooManyRequests: "rate-limited", http.StatusServiceUnavailable: "unavailable",
}

func adminFault(f *fault) any {
	typ := faultTypes[f.status]
	if typ == "" {
		typ = "internal"
	}
	return adminFaults{[]adminError{{Type: typ, Message: f.message, Field: f.field, Data: f.data, Status: f.status}}}
}

// profileFailure is the error of an answer of the Profile API.
type profileFailure struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func profileFault(f *fault) any {
	var p profileFailure
	p.Error.Message = f.message
	switch p.Error.Code = f.code; {
	case f.status == http.StatusUnauthorized:
		p.Error.Code = "authentication_error"
	case f.status == http.StatusNotFound:
		p.Error.Code = "not_found"
	case f.status == http.StatusTooManyRequests:
		p.Error.Code = "rate_limit_error"
	case f.status >= http.StatusInternalServerError:
		p.Error.Code = "api_error"
	case f.code == "":
		p.Error.Code = "invalid_request_error"
	}
	return p
}

func (d *dialect) accept(w http.ResponseWriter, status int, value any) {
	writeJSON(w, status, d.wrap(value))
}

func (d *dialect) refuse(w http.ResponseWriter, f *fault) {
	if f.wait > 0 {
		w.Header().Set("Retry-After", seconds(f.wait))
	}
	writeJSON(w, f.status, d.wrapFault(f))
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		text, status = []byte(`{"errors":[{"type":"internal","message":"the answer cannot be written as JSON","status":500}]}`), http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone
}

// faultOf says what an error is to the client. What is none of its business is logged, and
// found there by the id of the request.
func (a *API) faultOf(w http.ResponseWriter, r *request, err error) *fault {
	if f, ok := errors.AsType[*fault](err); ok {
		return f
	}
	if refused, ok := errors.AsType[*engine.DefinitionError](err); ok {
		return refusedDefinition(refused)
	}
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case is(engine.ErrUnknownProfile):
		return &fault{status: http.StatusNotFound, message: "Profile was not found."}
	case is(engine.ErrUnknownKey, store.ErrUnknownSource, store.ErrNoDestination):
		return &fault{status: http.StatusNotFound, message: err.Error()}
	case is(store.ErrSourceExists, store.ErrConfigSource):
		return &fault{status: http.StatusConflict, message: err.Error()}
	case is(store.ErrSourceSetting):
		return unfit("", err.Error())
	case is(context.Canceled): // else the client is gone, and nobody reads this
		return &fault{status: http.StatusServiceUnavailable, message: "muster serve is stopping; try again", wait: maxWait}
	case is(context.DeadlineExceeded):
		return &fault{status: http.StatusServiceUnavailable, message: "it took too long; try again, or ask for less", wait: maxWait}
	}
	a.cfg.Log.Error("an API request failed", "route", r.route.method+" "+r.route.path, "error", err, "request", w.Header().Get("Request-Id"))
	return &fault{status: http.StatusInternalServerError, message: "something went wrong; the log of muster serve says what, under the Request-Id of this answer"}
}

// refusedDefinition says why a definition cannot be, with the places in its query.
func refusedDefinition(e *engine.DefinitionError) *fault {
	if len(e.Diagnostics) == 0 {
		return unfit("", e.Error())
	}
	f := unfit("query", e.Diagnostics.Render())
	f.data = struct {
		Diagnostics query.Diagnostics `json:"diagnostics"`
	}{e.Diagnostics}
	return f
}
