package app

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"muster/engine"
	"muster/event"
	"muster/ingest"
)

// Sink takes calls into the engine.
func (a *App) Sink() ingest.Sink { return sink{a} }

type sink struct{ app *App }

// Ingest implements ingest.Sink.
func (s sink) Ingest(ctx context.Context, items []ingest.Item) ([]ingest.Result, error) {
	batch := make([]engine.Received, len(items))
	for i, item := range items {
		name, err := s.app.Store.SourceName(ctx, item.SourceID)
		if err != nil {
			return nil, err
		}
		batch[i] = engine.Received{Call: item.Call, SourceID: item.SourceID, Source: name}
	}
	receipts, err := s.app.Engine.Ingest(ctx, batch, s.app.now())
	if err != nil {
		if unstorable(err) {
			return nil, errors.Join(ingest.ErrUnstorable, err)
		}
		return nil, err
	}
	results := make([]ingest.Result, len(items))
	for i, r := range receipts {
		switch r {
		case engine.Accepted:
		case engine.Duplicate:
			results[i].Outcome = ingest.Duplicate
		case engine.Unresolved:
			results[i] = ingest.Result{Outcome: ingest.Rejected, Code: codeNoMatchingID}
		case engine.Skipped:
			results[i] = ingest.Result{Outcome: ingest.Skipped, Code: items[i].Call.ProfileSkip}
		}
	}
	return results, nil
}

// codeNoMatchingID is the code of a call whose ids are all blocked.
const codeNoMatchingID event.Code = "no_matching_identifiers"

// unstorable tells whether the data itself is what the database refuses.
func unstorable(err error) bool {
	var pg *pgconn.PgError
	// Class 22 is data exceptions, 23514 a violated check, 54000 a limit exceeded.
	return errors.As(err, &pg) && (pg.Code[:2] == "22" || pg.Code == "23514" || pg.Code[:2] == "54")
}
