package ingest

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"muster/event"
)

// request is a request for the Tracking API, read but not yet understood.
type request struct {
	receivedAt time.Time
	key        string // the write key outside the body, "" if there is none
	admitted   bool   // src is known and has been let in
	src        Source
	raw        []byte
	kind       event.Type // what the path says; "" for a batch
}

// post reads a request with a body and takes its calls. It gives the reason for an
// answer other than success, or nil.
//
// A key in the header is looked at before the body is read, so that strangers cost little.
func (a *API) post(w http.ResponseWriter, r *http.Request, kind event.Type) *refusal {
	req := request{receivedAt: a.cfg.Now(), key: headerKey(r), kind: kind}
	if req.key != "" {
		var why *refusal
		if req.src, why = a.admit(r.Context(), req.key, req.receivedAt); why != nil {
			return a.forgive(why)
		}
		req.admitted = true
	}
	limit, tooLarge := event.DefaultMaxBatchBytes, event.CodeBatchTooLarge
	if kind != "" {
		limit, tooLarge = event.DefaultMaxBytes, event.CodeMessageTooLarge
	}
	body := &hold{room: &a.room, stranger: !req.admitted}
	defer body.release()
	var why *refusal
	if req.raw, why = readBody(w, r, limit, tooLarge, body); why != nil {
		if req.admitted {
			a.record(Exchange{Source: req.src, At: req.receivedAt, Whole: &event.Rejection{Code: why.code, Message: why.message}})
		}
		return why
	}
	return a.take(r, req)
}

// forgive turns an unknown write key into success if the API is lenient.
func (a *API) forgive(why *refusal) *refusal {
	why.discarded = a.cfg.LenientAuth && why.code == CodeInvalidWriteKey
	return why
}

// take decodes the calls of a request and returns when they are stored. It gives
// the reason for an answer other than success, or nil.
//
// Only now, with all of it at hand, does a request count among those at work: one that is
// still on its way keeps no other out.
func (a *API) take(r *http.Request, req request) *refusal {
	if !a.enter() {
		return unavailable("too many requests at once")
	}
	defer a.leave()
	env := event.Envelope{ReceivedAt: req.receivedAt, Type: req.kind, RemoteIP: a.cfg.ClientIP(r)}
	decode := event.DecodeBatch
	if req.kind != "" {
		decode = event.DecodeMessage
	}
	batch, err := decode(req.raw, env)
	var whole *event.Rejection
	if err != nil && !errors.As(err, &whole) {
		panic("ingest: decoding failed with something else than a rejection: " + err.Error())
	}
	if whole != nil && !req.admitted && req.key == "" && batch.WriteKey == "" {
		return rejected(whole) // a body in which no key can be found cannot be blamed for a wrong one
	}
	if why := a.admitBody(r.Context(), &req, batch.WriteKey); why != nil {
		return a.forgive(why)
	}
	exchange := Exchange{Source: req.src, At: req.receivedAt}
	if whole != nil {
		exchange.Whole = whole
		a.record(exchange)
		return rejected(whole)
	}
	exchange.Calls, exchange.Refused = batch.Calls, batch.Refused
	if exchange.Results, err = a.submit(r.Context(), req, batch.Calls); err != nil {
		return unavailable(err.Error())
	}
	a.record(exchange)
	if req.kind == "" {
		return nil // the neighbours of a bad message are stored, and clients would send all again
	}
	return verdict(exchange)
}

// admitBody lets a request in by the key in its body, unless that has been done by
// the key in its header, which wins when they differ.
func (a *API) admitBody(ctx context.Context, req *request, bodyKey string) *refusal {
	if req.key != "" && bodyKey != "" && subtle.ConstantTimeCompare([]byte(req.key), []byte(bodyKey)) == 0 {
		a.noteTwoKeys(req.src)
	}
	if req.admitted {
		return nil
	}
	if req.key == "" {
		req.key = bodyKey
	}
	var why *refusal
	req.src, why = a.admit(ctx, req.key, req.receivedAt)
	return why
}

// noteTwoKeys logs, once for each source, that a client sends two different keys.
func (a *API) noteTwoKeys(src Source) {
	if _, known := a.twoKeys.LoadOrStore(src.ID, true); !known {
		a.cfg.Log.Warn("the write keys in header and body differ; the header's is used", "source", src.ID)
	}
}

// submit waits until the calls are stored.
func (a *API) submit(ctx context.Context, req request, calls []*event.Call) ([]Result, error) {
	items := make([]Item, len(calls))
	for i, c := range calls {
		items[i] = Item{SourceID: req.src.ID, Call: c}
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.AnswerTimeout)
	defer cancel()
	results, err := a.cfg.Collector.Submit(ctx, items, len(req.raw))
	if err != nil && ctx.Err() != nil {
		err = errSlow
	}
	return results, err
}

// errSlow is told to clients whose calls were not stored within AnswerTimeout.
var errSlow = errors.New("storing takes too long at present")

// record shows an exchange to the recorder.
func (a *API) record(x Exchange) {
	if a.cfg.Recorder != nil {
		a.cfg.Recorder.Record(x)
	}
}

// verdict is the answer to a request with one message, whose developer should see
// what was wrong with it.
func verdict(x Exchange) *refusal {
	if len(x.Refused) > 0 {
		return rejected(x.Refused[0].Rejection)
	}
	if r := x.Results[0]; r.Outcome == Rejected {
		return refuse(http.StatusBadRequest, r.Code, "the call cannot be stored")
	}
	return nil
}
