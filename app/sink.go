package app

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"muster/engine"
	"muster/event"
	"muster/ingest"
)

// Sink takes calls into the engine, but for those of suppressed people. Calls of sources that
// are connected to destinations are forwarded to them.
func (a *App) Sink() ingest.Sink { return sink{a} }

type sink struct{ app *App }

// Ingest implements ingest.Sink.
func (s sink) Ingest(ctx context.Context, items []ingest.Item) ([]ingest.Result, error) {
	now := s.app.now()
	results := make([]ingest.Result, len(items))
	calls := make([]*event.Call, len(items))
	for i := range items {
		calls[i] = items[i].Call
	}
	suppressed, err := s.app.suppressed(ctx, calls, now)
	if err != nil {
		return nil, err
	}
	batch := make([]engine.Received, 0, len(items))
	places := make([]int, 0, len(items)) // of the batch's calls in items
	for i, item := range items {
		if suppressed != nil && suppressed[i] {
			results[i] = ingest.Result{Outcome: ingest.Suppressed}
			continue
		}
		name, err := s.app.Store.SourceName(ctx, item.SourceID)
		if err != nil {
			return nil, err
		}
		received := engine.Received{Call: item.Call, SourceID: item.SourceID, Source: name}
		if s.app.outlets != nil {
			received.Routes = s.app.routes(name, item.Call)
		}
		batch = append(batch, received)
		places = append(places, i)
	}
	if len(batch) == 0 {
		return results, nil
	}
	receipts, err := s.app.Engine.Ingest(ctx, batch, now)
	if err != nil {
		if unstorable(err) {
			return nil, errors.Join(ingest.ErrUnstorable, err)
		}
		return nil, err
	}
	if s.app.outlets != nil {
		s.app.routed(batch, receipts)
	}
	for i, r := range receipts {
		results[places[i]] = outcome(r, batch[i].Call)
	}
	return results, nil
}

func outcome(r engine.Receipt, c *event.Call) ingest.Result {
	switch r {
	case engine.Accepted:
	case engine.Duplicate:
		return ingest.Result{Outcome: ingest.Duplicate}
	case engine.Unresolved:
		return ingest.Result{Outcome: ingest.Rejected, Code: codeNoMatchingID}
	case engine.Skipped:
		return ingest.Result{Outcome: ingest.Skipped, Code: c.ProfileSkip}
	}
	return ingest.Result{}
}

// codeNoMatchingID is the code of a call whose ids are all blocked.
const codeNoMatchingID event.Code = "no_matching_identifiers"

// unstorable tells whether the data itself is what the database refuses.
func unstorable(err error) bool {
	var pg *pgconn.PgError
	// Class 22 is data exceptions, 23514 a violated check, 54000 a limit exceeded.
	return errors.As(err, &pg) && (pg.Code[:2] == "22" || pg.Code == "23514" || pg.Code[:2] == "54")
}
