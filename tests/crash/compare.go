package crash

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"
)

// comparison holds what is left of a run against what was sent.
type comparison struct {
	*trial
	ctx    context.Context //nolint:containedctx // it lives as long as a call of compare
	conn   *pgx.Conn
	calls  []*call           // that are stored
	owners map[string]int64  // profile by id, such as "user_id:user-7"
	values map[string]values // of computations by key
	err    error             // the first that kept something from being compared
}

// compare looks for differences.
func (t *trial) compare(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, t.system.database())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c := &comparison{trial: t, ctx: ctx, conn: conn}
	for _, part := range []func(){
		c.messageIDs, c.storedEvents, c.people, c.traits, c.groups, c.orders, c.verify,
		c.queue, c.letters, c.properties, c.changes, c.forwarded, c.charges, c.rules, c.figures,
	} {
		part()
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

// query yields the rows of a statement into the variables that they are scanned into.
func (c *comparison) query(sql string, into []any, each func()) {
	if c.err != nil {
		return
	}
	rows, err := c.conn.Query(c.ctx, sql)
	if err == nil {
		_, err = pgx.ForEachRow(rows, into, func() error { each(); return nil })
	}
	if err != nil {
		c.err = fmt.Errorf("%w\n%s", err, sql)
	}
}

// verify asks the reference evaluator, in a process of its own.
func (c *comparison) verify() {
	out, err := c.system.command(c.ctx, "verify", "-o", "json")
	var verified struct {
		Values      int64 `json:"values"`
		Waiting     int64 `json:"waiting"`
		Differences int64 `json:"differences"`
		Shown       []any `json:"shown"`
	}
	if json.Unmarshal(out, &verified) != nil {
		c.err = err
		return
	}
	c.report.Verified = verified.Values
	if verified.Differences > 0 {
		c.report.differ("muster verify finds %d differences, such as %v", verified.Differences, verified.Shown[:min(len(verified.Shown), 5)])
	}
	if verified.Waiting > 0 && c.options.WholeSlot {
		c.report.differ("%d values wait for a slot, although one has run since the last call", verified.Waiting)
	}
	if verified.Values == 0 {
		c.report.differ("muster verify has compared nothing")
	}
}

// figures completes the report.
func (c *comparison) figures() {
	r := c.report
	for _, figure := range []struct {
		sql  string
		into any
	}{
		{`SELECT count(*) FROM muster.backfills`, &r.Backfills},
		{`SELECT count(*) FROM muster.slots WHERE status = 'done'`, &r.Slots},
		// A slot that was missed is made up for by the next one: its minute counts.
		{`SELECT coalesce(max(extract(epoch FROM finished_at - due)), 0)::float8 FROM (
			SELECT finished_at, coalesce(lag(slot) OVER (ORDER BY slot) + interval '1 minute', slot) AS due FROM muster.slots WHERE status = 'done') s`, &r.SlotLate},
		{`SELECT count(*) FROM muster.profiles`, &r.Profiles},
		{`SELECT count(*) FROM muster.profile_merges`, &r.Merges},
		{`SELECT count(*) FROM muster.queue`, &r.Messages},
	} {
		c.query(figure.sql, []any{figure.into}, func() {})
	}
	for _, fake := range c.fakes() {
		for _, total := range fake.server.Requests().Totals {
			r.Told += total.Good
			r.Faults += total.Faults
		}
	}
	if len(r.recoveries) > 0 && r.Broken+r.Refused == 0 {
		r.differ("the run shows nothing: no request failed")
	}
	if r.Calls == 0 || r.Messages == 0 || r.Told == 0 {
		r.differ("the run shows nothing: %d calls were answered, %d messages queued, %d told", r.Calls, r.Messages, r.Told)
	}
}
