package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"muster/engine"
	"muster/event"
)

// callOf is an event as the call that its library would send, without a line end.
func callOf(e *Event, ids string) []byte {
	b := fmt.Appendf(nil, `{"type":"track","messageId":%q,%s,"event":%q,"timestamp":%q,"properties":%s`,
		e.MessageID, ids, names[e.Name].name, e.At.Format(time.RFC3339Nano), e.Properties)
	if e.Context != nil {
		b = fmt.Appendf(b, `,"context":%s`, e.Context)
	}
	return append(b, '}')
}

// lines turns the events of an hour into calls. Two in five carry the browser's
// anonymous id too. Of a hundred calls four are identify calls with traits in place of
// the event, one comes from a browser that nobody has seen before, and of those one in
// ten signs in a few calls later: the only merges.
func lines(r *rand.Rand, events []Event) [][]byte {
	out := make([][]byte, 0, len(events))
	var visitors []string // who may sign in yet
	for i := range events {
		e := &events[i]
		user := fmt.Sprintf(`"userId":%q`, userID(e.Profile))
		switch p := r.IntN(1000); {
		case p < 40:
			out = append(out, fmt.Appendf(nil, `{"type":"identify","messageId":%q,%s,"timestamp":%q,"traits":{"email":%q,"plan":%q,"country":%q,"logins":%d}}`,
				e.MessageID, user, e.At.Format(time.RFC3339Nano), email(e.Profile), plan(e.Profile), country(e.Profile), r.IntN(100)))
		case p < 50:
			visitor := "v-" + messageID(r)
			if r.IntN(10) == 0 {
				visitors = append(visitors, visitor)
			}
			out = append(out, callOf(e, fmt.Sprintf(`"anonymousId":%q`, visitor)))
		case p < 52 && len(visitors) > 0:
			ids := fmt.Sprintf(`%s,"anonymousId":%q`, user, visitors[0])
			visitors = visitors[1:]
			out = append(out, callOf(e, ids))
		case p < 450:
			out = append(out, callOf(e, fmt.Sprintf(`%s,"anonymousId":%q`, user, anonymousID(e.Profile))))
		default:
			out = append(out, callOf(e, user))
		}
	}
	return out
}

// received decodes calls that came in over the wire at once.
func (d *database) received(lines [][]byte, at time.Time) ([]engine.Received, error) {
	calls := make([]engine.Received, len(lines))
	for i, line := range lines {
		call, err := event.Decode(line, event.Envelope{ReceivedAt: at})
		if err != nil {
			return nil, fmt.Errorf("generated call %s: %w", line, err)
		}
		calls[i] = engine.Received{Call: call, SourceID: d.source.ID, Source: d.source.Name}
	}
	return calls, nil
}

// copyCalls appends the events among calls to a table by COPY in one transaction, as
// rows of the same columns that the product writes: the baseline for storing events.
func (d *database) copyCalls(ctx context.Context, table string, calls []engine.Received, seq int64) (int64, error) {
	rows := make([]row, 0, len(calls))
	for i := range calls {
		c := calls[i].Call
		if c.Type == event.Identify {
			continue
		}
		// Whose the event is costs the baseline nothing: it is given a number at once.
		rows = append(rows, row{
			profile: int64(rand.IntN(1 << 20)), name: int64(1 + len(c.Event)%len(names)), at: c.Timestamp, seq: seq + int64(i),
			source: calls[i].SourceID, received: c.ReceivedAt, message: c.MessageID, properties: c.Properties, context: c.Context,
		})
	}
	return d.copyRows(ctx, table, rows)
}
