package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"muster/scheduler"
)

// Slots is the slots of schedules, as the scheduler works on them: a job for each
// schedule in use. Claims are leases.
type Slots struct{ store *Store }

var _ scheduler.Slots = Slots{}

// Slots returns the slots of the store's database.
func (s *Store) Slots() Slots { return Slots{s} }

// Jobs implements scheduler.Slots.
func (s Slots) Jobs(ctx context.Context) ([]scheduler.Job, error) {
	rows, err := s.store.pool.Query(ctx, `
		SELECT j.schedule, j.as_of, f.slot, f.retry_at
		FROM (SELECT v.schedule, min(v.as_of) AS as_of
			FROM computation_versions v JOIN computations c USING (computation_id)
			WHERE c.status = 'live' AND v.version = c.version AND v.schedule <> '' GROUP BY v.schedule) j
		LEFT JOIN LATERAL (SELECT slot, retry_at FROM slots s
			WHERE s.schedule = j.schedule AND s.status = 'failed' AND s.slot > j.as_of ORDER BY s.slot DESC LIMIT 1) f ON true
		ORDER BY j.schedule`)
	if err != nil {
		return nil, fmt.Errorf("read the schedules in use: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (scheduler.Job, error) {
		var j scheduler.Job
		var failed, retry *time.Time
		if err := row.Scan(&j.Key, &j.Last, &failed, &retry); err != nil {
			return j, err
		}
		if failed != nil {
			j.Failed = *failed
		}
		if retry != nil {
			j.RetryAt = *retry
		}
		var err error
		j.Schedule, err = scheduler.Parse(j.Key)
		return j, err
	})
}

// Claim implements scheduler.Slots.
func (s Slots) Claim(ctx context.Context, slot scheduler.Slot, now time.Time, lease time.Duration) (scheduler.Claim, error) {
	c := &claim{store: s.store, slot: slot, owner: uuid.NewString(), lease: lease}
	taken := false
	err := pgx.BeginFunc(ctx, s.store.pool, func(t pgx.Tx) error {
		// One claim on a schedule at a time; the lock ends with this short transaction.
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "slots of "+slot.Key); err != nil {
			return err
		}
		// A slot that was done is done again for a computation that was not there yet.
		err := t.QueryRow(ctx, `
			SELECT EXISTS (SELECT 1 FROM slots WHERE schedule = $1 AND status = 'running' AND lease_until > $3 AND lease_until <= $4)
				OR NOT EXISTS (SELECT 1 FROM computation_versions v JOIN computations c USING (computation_id, version)
					WHERE c.status = 'live' AND v.schedule = $1 AND v.as_of < $2)`,
			slot.Key, slot.At, now, now.Add(lease+maxSkew)).Scan(&taken)
		if err != nil || taken {
			return err
		}
		_, err = t.Exec(ctx, `
			UPDATE slots SET status = 'failed', finished_at = $3, error = 'the process that ran it died, and a newer slot came'
			WHERE schedule = $1 AND slot <> $2 AND status = 'running'`, slot.Key, slot.At, now)
		if err != nil {
			return err
		}
		return t.QueryRow(ctx, `
			INSERT INTO slots AS s (schedule, slot, status, owner, lease_until, attempt, missed, started_at)
			VALUES ($1, $2, 'running', $3, $4, 1, $5, $6)
			ON CONFLICT (schedule, slot) DO UPDATE SET status = 'running', owner = excluded.owner, lease_until = excluded.lease_until,
				attempt = s.attempt + 1, missed = excluded.missed, started_at = excluded.started_at, finished_at = NULL, retry_at = NULL, error = NULL
			RETURNING attempt`, slot.Key, slot.At, c.owner, now.Add(lease), slot.Missed, now).Scan(&c.attempt)
	})
	if err != nil {
		return nil, fmt.Errorf("claim slot %s of %q: %w", slot.At.Format(time.RFC3339), slot.Key, err)
	}
	if taken {
		return nil, nil
	}
	return c, nil
}

// claim is a lease on a slot's row.
type claim struct {
	store   *Store
	slot    scheduler.Slot
	owner   string
	lease   time.Duration
	attempt int
}

// Attempt implements scheduler.Claim.
func (c *claim) Attempt() int { return c.attempt }

// Renew implements scheduler.Claim.
func (c *claim) Renew(ctx context.Context, now time.Time) error {
	return c.update(ctx, `UPDATE slots SET lease_until = $4 WHERE schedule = $1 AND slot = $2 AND owner = $3 AND status = 'running'`, now.Add(c.lease))
}

// Finish implements scheduler.Claim.
func (c *claim) Finish(ctx context.Context, o scheduler.Outcome) error {
	if o.Ending == scheduler.Done {
		return c.update(ctx, `UPDATE slots SET status = 'done', finished_at = $4, lease_until = $4 WHERE schedule = $1 AND slot = $2 AND owner = $3 AND status = 'running'`, o.At)
	}
	if o.Ending == scheduler.Released {
		return c.update(ctx, `UPDATE slots SET lease_until = $4 WHERE schedule = $1 AND slot = $2 AND owner = $3 AND status = 'running'`, o.At)
	}
	return c.update(ctx, `UPDATE slots SET status = 'failed', finished_at = $4, lease_until = $4, retry_at = $5, error = $6
		WHERE schedule = $1 AND slot = $2 AND owner = $3 AND status = 'running'`, o.At, orNull(o.RetryAt), o.Reason)
}

// update runs a statement on the claim's row; the first three parameters name it.
func (c *claim) update(ctx context.Context, statement string, args ...any) error {
	tag, err := c.store.pool.Exec(ctx, statement, append([]any{c.slot.Key, c.slot.At, c.owner}, args...)...)
	if err != nil {
		return fmt.Errorf("note slot %s of %q: %w", c.slot.At.Format(time.RFC3339), c.slot.Key, err)
	}
	if tag.RowsAffected() == 0 {
		return scheduler.ErrClaimLost
	}
	return nil
}
