package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// CatalogVersion implements engine.Tx.
func (t *tx) CatalogVersion(ctx context.Context) (int64, error) {
	var v int64
	err := t.QueryRow(ctx, `SELECT version FROM catalog_version`).Scan(&v)
	return v, err
}

// bump makes every process read the definitions anew.
func bump(ctx context.Context, t pgx.Tx) error {
	_, err := t.Exec(ctx, `UPDATE catalog_version SET version = version + 1`)
	return err
}

// Catalog implements engine.Tx.
func (t *tx) Catalog(ctx context.Context) (*engine.Catalog, error) {
	version, err := t.CatalogVersion(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.readSources(ctx); err != nil {
		return nil, err
	}
	destinations, err := t.readDestinations(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the destinations: %w", err)
	}
	computations, err := t.readComputations(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the computations: %w", err)
	}
	if err := t.readVersions(ctx, computations); err != nil {
		return nil, fmt.Errorf("read the versions: %w", err)
	}
	if err := t.readConnections(ctx, computations, destinations); err != nil {
		return nil, fmt.Errorf("read the connections: %w", err)
	}
	running, err := t.Running(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the backfill: %w", err)
	}
	c, err := engine.NewCatalog(version, computations, destinations, running)
	if err != nil {
		return nil, err
	}
	rows, err := t.Query(ctx, `SELECT DISTINCT key FROM computations WHERE status = 'deleted'`)
	if err != nil {
		return nil, err
	}
	deleted, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the keys of deleted computations: %w", err)
	}
	retellings, err := t.retellings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the retellings: %w", err)
	}
	c.Recall(deleted, retellings)
	c.Kept, err = t.kept(ctx)
	return c, err
}

func (t *tx) readDestinations(ctx context.Context) ([]*engine.Destination, error) {
	rows, err := t.Query(ctx, `
		SELECT destination_id, name, kind, paused, coalesce(halted_reason, ''), aliasing FROM destinations
		WHERE removed_at IS NULL ORDER BY destination_id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*engine.Destination, error) {
		var d engine.Destination
		return &d, row.Scan(&d.ID, &d.Name, &d.Kind, &d.Paused, &d.HaltedReason, &d.Aliasing)
	})
}

func (t *tx) readComputations(ctx context.Context) ([]*engine.Computation, error) {
	rows, err := t.Query(ctx, `
		SELECT computation_id, key, name, description, kind, include_anonymous, include_historical,
			coalesce(backfill_days, 0), status, coalesce(status_reason, ''), created_at, created_seq
		FROM computations WHERE status IN ('preparing', 'backfilling', 'live', 'disabled') ORDER BY computation_id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*engine.Computation, error) {
		var c engine.Computation
		return &c, row.Scan(&c.ID, &c.Key, &c.Name, &c.Description, &c.Kind, &c.IncludeAnonymous, &c.IncludeHistorical,
			&c.BackfillDays, &c.Status, &c.StatusReason, &c.CreatedAt, &c.CreatedSeq)
	})
}

// readVersions fills in the version that serves and the newest one after it.
func (t *tx) readVersions(ctx context.Context, computations []*engine.Computation) error {
	rows, err := t.Query(ctx, `
		SELECT v.computation_id, v.version, v.query, v.schedule, v.refresh, coalesce(v.backfill_id, 0), v.as_of, v.version = c.version
		FROM computation_versions v JOIN computations c USING (computation_id)
		WHERE c.status IN ('preparing', 'backfilling', 'live', 'disabled') AND v.version >= c.version
		ORDER BY v.computation_id, v.version`)
	if err != nil {
		return err
	}
	byID := make(map[int64]*engine.Computation, len(computations))
	for _, c := range computations {
		byID[c.ID] = c
	}
	var v engine.Version
	var id int64
	var text string
	var serves bool
	var asOf *time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &v.Number, &text, &v.Schedule, &v.Refresh, &v.BackfillID, &asOf, &serves}, func() error {
		comp := byID[id]
		compiled, faults := query.Compile(text, query.CheckOptions{Purpose: comp.Kind, Level: query.Users, Key: comp.Key})
		if compiled == nil {
			return fmt.Errorf("%s, version %d: %w", comp.Key, v.Number, faults.Err())
		}
		version := v
		version.Computation, version.Definition, version.Leaves = comp, compiled, make(map[string]*engine.Leaf)
		if asOf != nil {
			version.AsOf = *asOf
		}
		if serves {
			comp.Current = &version
		} else {
			comp.Next = &version
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.readLeaves(ctx, byID)
}

func (t *tx) readLeaves(ctx context.Context, computations map[int64]*engine.Computation) error {
	rows, err := t.Query(ctx, `
		SELECT r.computation_id, r.version, l.leaf_id, l.text, l.schedule, l.since_seq, l.since, l.built, l.cut, l.as_of
		FROM version_leaves r JOIN leaves l USING (leaf_id)`)
	if err != nil {
		return err
	}
	leaves := make(map[int64]*engine.Leaf)
	var computation int64
	var number int
	var l engine.Leaf
	var text string
	var since, asOf *time.Time
	_, err = pgx.ForEachRow(rows, []any{&computation, &number, &l.ID, &text, &l.Schedule, &l.SinceSeq, &since, &l.Built, &l.Cut, &asOf}, func() error {
		comp := computations[computation]
		if comp == nil {
			return nil
		}
		for _, v := range []*engine.Version{comp.Current, comp.Next} {
			if v == nil || v.Number != number {
				continue
			}
			leaf := leaves[l.ID]
			if leaf == nil {
				leaf = new(l)
				if since != nil {
					leaf.Since = *since
				}
				leaf.AsOf = time.Time{}
				if asOf != nil {
					leaf.AsOf = *asOf
				}
				leaves[l.ID] = leaf
			}
			for _, compiled := range v.Definition.Leaves {
				if compiled.Text == text {
					leaf.Leaf = compiled
					v.Leaves[text] = leaf
				}
			}
		}
		return nil
	})
	return err
}

func (t *tx) readConnections(ctx context.Context, computations []*engine.Computation, destinations []*engine.Destination) error {
	rows, err := t.Query(ctx, `
		SELECT connection_id, computation_id, destination_id, emit, entered_event, exited_event, computed_event, id_strategy, cleanup, sets_property
		FROM connections WHERE removed_at IS NULL ORDER BY connection_id`)
	if err != nil {
		return err
	}
	byID := make(map[int64]*engine.Computation, len(computations))
	for _, c := range computations {
		byID[c.ID] = c
	}
	whom := make(map[int64]*engine.Destination, len(destinations))
	for _, d := range destinations {
		whom[d.ID] = d
	}
	var conn engine.Connection
	var computation, destination int64
	var strategy string
	_, err = pgx.ForEachRow(rows, []any{&conn.ID, &computation, &destination, &conn.Emit, &conn.EnteredEvent, &conn.ExitedEvent, &conn.ComputedEvent, &strategy, &conn.Cleanup, &conn.SetsProperty}, func() error {
		c := conn
		c.Computation, c.Destination, c.Strategy = byID[computation], whom[destination], identity.Strategy(strategy)
		if c.Computation != nil && c.Destination != nil {
			c.Computation.Connections = append(c.Computation.Connections, &c)
		}
		return nil
	})
	return err
}

// SaveComputation implements engine.Tx.
func (t *tx) SaveComputation(ctx context.Context, c *engine.Computation, version *engine.Version, connections []*engine.Connection, now time.Time) error {
	var days *int
	if c.BackfillDays > 0 {
		days = &c.BackfillDays
	}
	if c.ID == 0 {
		err := t.QueryRow(ctx, `
			INSERT INTO computations (key, name, description, kind, include_anonymous, include_historical, backfill_days, status, created_at, created_seq)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING computation_id`,
			c.Key, c.Name, c.Description, string(c.Kind), c.IncludeAnonymous, c.IncludeHistorical, days, string(c.Status), now, c.CreatedSeq).Scan(&c.ID)
		if err != nil {
			return fmt.Errorf("create %s: %w", c.Key, err)
		}
	} else {
		_, err := t.Exec(ctx, `
			UPDATE computations SET name = $2, description = $3, include_historical = $4, backfill_days = $5, status = $6 WHERE computation_id = $1`,
			c.ID, c.Name, c.Description, c.IncludeHistorical, days, string(c.Status))
		if err != nil {
			return fmt.Errorf("edit %s: %w", c.Key, err)
		}
		if err := t.rest(ctx, c); err != nil {
			return fmt.Errorf("disable %s: %w", c.Key, err)
		}
	}
	if version != nil {
		if err := t.saveVersion(ctx, c.ID, version, now); err != nil {
			return fmt.Errorf("version %d of %s: %w", version.Number, c.Key, err)
		}
	}
	if err := t.saveConnections(ctx, c.ID, connections, now); err != nil {
		return fmt.Errorf("connections of %s: %w", c.Key, err)
	}
	return bump(ctx, t)
}

// rest lets go of what keeps a disabled computation up to date.
func (t *tx) rest(ctx context.Context, c *engine.Computation) error {
	if c.Status != engine.Disabled {
		return nil
	}
	if _, err := t.Exec(ctx, `DELETE FROM due_evaluations WHERE computation_id = $1`, c.ID); err != nil {
		return err
	}
	return t.dropLeaves(ctx)
}

func (t *tx) saveVersion(ctx context.Context, computation int64, v *engine.Version, now time.Time) error {
	class := query.Realtime
	if v.Scheduled() {
		class = query.Scheduled
	}
	_, err := t.Exec(ctx, `
		INSERT INTO computation_versions (computation_id, version, query, class, schedule, refresh, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (computation_id, version) DO NOTHING -- one that waits already`, computation, v.Number, v.Definition.Text(), string(class), v.Schedule, string(v.Refresh), now)
	return err
}

// saveConnections makes the connections of a computation what they are to be.
func (t *tx) saveConnections(ctx context.Context, computation int64, connections []*engine.Connection, now time.Time) error {
	kept := make([]int64, 0, len(connections))
	for _, c := range connections {
		kept = append(kept, c.Destination.ID)
		err := t.QueryRow(ctx, `
			INSERT INTO connections (computation_id, destination_id, emit, entered_event, exited_event, computed_event, id_strategy, cleanup, created_at, sets_property)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $3 <> 'track')
			ON CONFLICT (computation_id, destination_id) WHERE removed_at IS NULL DO UPDATE
			SET emit = excluded.emit, entered_event = excluded.entered_event, exited_event = excluded.exited_event,
				computed_event = excluded.computed_event, id_strategy = excluded.id_strategy, cleanup = excluded.cleanup,
				sets_property = connections.sets_property OR excluded.sets_property
			RETURNING connection_id`, computation, c.Destination.ID, string(c.Emit), c.EnteredEvent, c.ExitedEvent, c.ComputedEvent,
			string(c.Strategy), string(c.Cleanup), now).Scan(&c.ID)
		if err != nil {
			return err
		}
	}
	_, err := t.Exec(ctx, `
		UPDATE connections SET removed_at = $3
		WHERE computation_id = $1 AND removed_at IS NULL AND NOT destination_id = ANY($2)`, computation, kept, now)
	return err
}

// DeleteComputation implements engine.Tx.
func (t *tx) DeleteComputation(ctx context.Context, c *engine.Computation, first *engine.Backfill, now time.Time) error {
	served := engine.Backfill{MaxProfileID: 0} // all profiles have a higher number
	if first != nil {
		served = *first
	}
	at := []any{served.MaxProfileID, served.At.Bucket, served.At.ProfileID}
	const done = `(profile_id > $1 OR (bucket, profile_id) <= ($2, $3))`
	var b pgx.Batch
	// Whoever reads the key finds what the computation said last, and nothing where it
	// said nothing, not what a call or an earlier computation had left under the key.
	b.Queue(`UPDATE traits SET value = NULL WHERE key = $4 AND value IS NOT NULL AND `+done, append(at, c.Key)...)
	b.Queue(`WITH gone AS (DELETE FROM computed_values WHERE computation_id = $4 RETURNING bucket, profile_id, value, since)
		INSERT INTO traits (bucket, profile_id, key, value, changed_at, arrival)
		SELECT bucket, profile_id, $5, nullif(value, 'null'), since, 0 FROM gone WHERE `+done+`
		ON CONFLICT (bucket, profile_id, key) DO UPDATE
		SET value = excluded.value, changed_at = excluded.changed_at, arrival = excluded.arrival`, append(at, c.ID, c.Key)...)
	b.Queue(`DELETE FROM due_evaluations WHERE computation_id = $1`, c.ID)
	b.Queue(`UPDATE connections SET removed_at = $2 WHERE computation_id = $1 AND removed_at IS NULL`, c.ID, now)
	b.Queue(`UPDATE computations SET status = 'deleted', deleted_at = $2 WHERE computation_id = $1`, c.ID, now)
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if err := t.dropLeaves(ctx); err != nil {
		return err
	}
	return bump(ctx, t)
}
