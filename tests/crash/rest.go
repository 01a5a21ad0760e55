package crash

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// busy counts what has not come to rest, each with its name. $1 is the instant from which on
// a slot has to have run.
const busy = `
	SELECT 'messages that wait for a destination', count(*) FROM muster.queue q LEFT JOIN muster.queue_positions p USING (destination_id, lane)
		WHERE q.seq > coalesce(p.seq, 0)
	UNION ALL SELECT 'messages that were sent and not acknowledged', count(*) FROM muster.queue_positions WHERE in_flight <> '{}'
	UNION ALL SELECT 'running backfills', count(*) FROM muster.backfills WHERE status = 'running'
	UNION ALL SELECT 'computations that are not live', count(*) FROM muster.computations WHERE deleted_at IS NULL AND status <> 'live'
	UNION ALL SELECT 'versions to come', count(*) FROM muster.computation_versions v JOIN muster.computations c USING (computation_id)
		WHERE c.deleted_at IS NULL AND v.version > c.version
	UNION ALL SELECT 'slots to come', 1 WHERE NOT EXISTS (SELECT FROM muster.slots WHERE status = 'done' AND slot >= $1)`

// restPatience is how long nothing may get on before all has come to rest: a slot that died is
// held for a minute by its lease, and retries wait a minute at most. As long as fewer and fewer
// messages wait, there is no hurry: aliases settle one after the other, and thousands of
// kills leave many.
const restPatience = 5 * time.Minute

// rest makes a last edit, which must succeed, and waits until nothing is left to be done.
func (t *trial) rest(ctx context.Context) error {
	if len(t.report.Differences) > 0 {
		return nil
	}
	t.editing.Lock()
	defer t.editing.Unlock()
	if err := t.apply(ctx, t.edition.edit(t.r)); err != nil {
		t.report.differ("the last edit failed: %v", err)
		return nil
	}
	t.report.Edits = t.edits + 1
	conn, err := pgx.Connect(ctx, t.system.database())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	from := time.Unix(0, 0)
	if t.options.WholeSlot {
		from = time.Now()
	}
	deadline, fewest := time.Now().Add(restPatience), int64(math.MaxInt64)
	for {
		began := time.Now()
		left, all, err := leftToDo(ctx, conn, from)
		switch {
		case err != nil:
			return err
		case left == "":
			return nil
		case all < fewest:
			deadline, fewest = time.Now().Add(restPatience), all
		case time.Now().After(deadline):
			t.report.differ("not at rest, and nothing gets on for %v: %s", restPatience, left)
			return nil
		}
		// Counting many that wait is work, too.
		if err := sleep(ctx, max(100*time.Millisecond, 10*time.Since(began))); err != nil {
			return err
		}
	}
}

// leftToDo tells what has not come to rest, and of how many things that is.
func leftToDo(ctx context.Context, conn *pgx.Conn, from time.Time) (left string, all int64, err error) {
	rows, err := conn.Query(ctx, busy, from)
	if err != nil {
		return "", 0, err
	}
	var what string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&what, &n}, func() error {
		if what == "slots to come" && from.Unix() == 0 {
			return nil
		}
		if n > 0 {
			left += fmt.Sprintf(" %d %s;", n, what)
			all += n
		}
		return nil
	})
	return left, all, err
}
