package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// naive is what a good engineer would write in place of the product: tables of members
// and of traits, and for each definition a statement that computes it from the events and
// writes the difference, to an outbox too: somebody is to be told.
type naive struct {
	past *history
	defs []definition
}

func newNaive(ctx context.Context, past *history, defs []definition, at time.Time) (*naive, error) {
	err := past.exec(ctx, `
		CREATE TABLE muster.naive_members (definition integer NOT NULL, profile_id bigint NOT NULL, PRIMARY KEY (definition, profile_id));
		CREATE TABLE muster.naive_traits (definition integer NOT NULL, profile_id bigint NOT NULL, value numeric NOT NULL, PRIMARY KEY (definition, profile_id));
		CREATE TABLE muster.naive_outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, definition integer NOT NULL, profile_id bigint NOT NULL, value numeric)`)
	if err != nil {
		return nil, err
	}
	n := &naive{past: past, defs: defs}
	if _, err := n.each(ctx, at); err != nil {
		return nil, err
	}
	if err := past.exec(ctx, "VACUUM (ANALYZE)"); err != nil {
		return nil, err
	}
	return n, n.compare(ctx)
}

func (n *naive) nameID(event string) int64 {
	for i, known := range names {
		if known.name == event {
			return n.past.ids[i]
		}
	}
	panic("no such event: " + event)
}

// present selects whom the definition holds for now, computed from the events alone.
func (n *naive) present(d definition) string {
	group := func(i int) string {
		p := d.parts[i]
		if d.trait() {
			return fmt.Sprintf("SELECT profile_id, %s AS value FROM events WHERE %s GROUP BY profile_id", p.aggregate(), p.where(n.nameID(p.event)))
		}
		return fmt.Sprintf("SELECT profile_id FROM events WHERE %s GROUP BY profile_id HAVING %s >= %s", p.where(n.nameID(p.event)), p.aggregate(), d.least[i])
	}
	switch {
	case len(d.parts) == 1:
		return group(0)
	case d.not:
		return group(0) + " EXCEPT " + group(1)
	}
	return group(0) + " INTERSECT " + group(1)
}

// difference writes back what is new of a definition, whose present state the query
// selects, and counts it.
func difference(number int, d definition, present string) string {
	write := `
		entered AS (
			INSERT INTO naive_members SELECT %[1]d, profile_id FROM (
				SELECT profile_id FROM present EXCEPT SELECT profile_id FROM naive_members WHERE definition = %[1]d) new RETURNING profile_id, 1 AS value),
		gone AS (
			DELETE FROM naive_members m USING (SELECT profile_id FROM naive_members WHERE definition = %[1]d EXCEPT SELECT profile_id FROM present) old
			WHERE m.definition = %[1]d AND m.profile_id = old.profile_id RETURNING m.profile_id, 0 AS value)`
	if d.trait() {
		write = `
		entered AS (
			INSERT INTO naive_traits SELECT %[1]d, profile_id, value FROM (
				SELECT profile_id, value FROM present WHERE value IS NOT NULL EXCEPT SELECT profile_id, value FROM naive_traits WHERE definition = %[1]d) new
			ON CONFLICT (definition, profile_id) DO UPDATE SET value = excluded.value RETURNING profile_id, value),
		gone AS (
			DELETE FROM naive_traits t USING (SELECT profile_id FROM naive_traits WHERE definition = %[1]d EXCEPT SELECT profile_id FROM present WHERE value IS NOT NULL) old
			WHERE t.definition = %[1]d AND t.profile_id = old.profile_id RETURNING t.profile_id, NULL::numeric AS value)`
	}
	return fmt.Sprintf(`WITH present AS (%[2]s),`+write+`,
		told AS (
			INSERT INTO naive_outbox (definition, profile_id, value)
			SELECT %[1]d, profile_id, value FROM (SELECT * FROM entered UNION ALL SELECT * FROM gone) changes RETURNING 1)
		SELECT count(*) FROM told`, number, present)
}

// step times both baselines at an instant; the shared scan's writes are rolled back, so
// that the other starts from the same members.
func (n *naive) step(ctx context.Context, at time.Time) (shared, each time.Duration, changes int64, err error) {
	began := time.Now()
	other, err := n.sharedScan(ctx, at)
	if err != nil {
		return 0, 0, 0, err
	}
	shared = time.Since(began)
	began = time.Now()
	changes, err = n.each(ctx, at)
	if err == nil && changes != other {
		err = fmt.Errorf("one shared scan found %d changes, a GROUP BY for each definition %d", other, changes)
	}
	return shared, time.Since(began), changes, err
}

// each runs one statement for each definition, in one transaction.
func (n *naive) each(ctx context.Context, at time.Time) (changes int64, err error) {
	err = pgx.BeginFunc(ctx, n.past.Pool(), func(tx pgx.Tx) error {
		for i, d := range n.defs {
			var c int64
			if err := tx.QueryRow(ctx, difference(i, d, n.present(d)), at).Scan(&c); err != nil {
				return fmt.Errorf("%s in SQL: %w", d.key, err)
			}
			changes += c
		}
		return nil
	})
	return changes, err
}

// sharedScan reads the events of the longest window once, with an aggregate for each
// part of each definition.
func (n *naive) sharedScan(ctx context.Context, at time.Time) (changes int64, err error) {
	var columns []string
	longest := 0
	for i, d := range n.defs {
		for j, p := range d.parts {
			columns = append(columns, fmt.Sprintf("%s FILTER (WHERE %s) AS c%d_%d", p.aggregate(), p.where(n.nameID(p.event)), i, j))
			longest = max(longest, p.days)
		}
	}
	tx, err := n.past.Pool().Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after the commit there is nothing to roll back
	_, err = tx.Exec(ctx, fmt.Sprintf(`CREATE TEMPORARY TABLE shared_scan ON COMMIT DROP AS
		SELECT profile_id, %s FROM events WHERE ts >= $1::timestamptz - interval '%d days' AND ts <= $1 GROUP BY profile_id`,
		strings.Join(columns, ", "), longest), pgx.QueryExecModeSimpleProtocol, at)
	if err != nil {
		return 0, fmt.Errorf("shared scan: %w", err)
	}
	for i, d := range n.defs {
		present := fmt.Sprintf("SELECT profile_id, c%d_0 AS value FROM shared_scan", i)
		if d.trait() {
			if op, _, _ := strings.Cut(d.parts[0].reducer, ":"); op == "count" || op == "distinct" {
				present += fmt.Sprintf(" WHERE c%d_0 > 0", i)
			}
		} else {
			present = fmt.Sprintf("SELECT profile_id FROM shared_scan WHERE c%d_0 >= %s", i, d.least[0])
			if len(d.parts) > 1 {
				second := fmt.Sprintf("coalesce(c%d_1 >= %s, false)", i, d.least[1])
				if d.not {
					second = "NOT " + second
				}
				present += " AND " + second
			}
		}
		var c int64
		if err := tx.QueryRow(ctx, difference(i, d, present)).Scan(&c); err != nil {
			return 0, fmt.Errorf("%s from the shared scan: %w", d.key, err)
		}
		changes += c
	}
	return changes, nil
}

// compare fails unless the product holds the same members and values, row by row.
func (n *naive) compare(ctx context.Context) error {
	for i, d := range n.defs {
		// Counts of nothing are 0 in the product and have no row in plain SQL. Averages
		// have more digits in SQL.
		ours := `SELECT v.profile_id, NULL::numeric AS value FROM computed_values v JOIN computations c USING (computation_id) WHERE c.key = $1 AND v.value = 'true'`
		theirs := `SELECT profile_id, NULL::numeric FROM naive_members WHERE definition = $2`
		if d.trait() {
			ours = `SELECT v.profile_id, round(v.value::text::numeric, 9) FROM computed_values v JOIN computations c USING (computation_id) WHERE c.key = $1 AND v.value NOT IN ('null', '0')`
			theirs = `SELECT profile_id, round(value, 9) FROM naive_traits WHERE definition = $2 AND value <> 0`
		}
		var more, fewer int64
		err := n.past.Pool().QueryRow(ctx, fmt.Sprintf(`SELECT (SELECT count(*) FROM (%[1]s EXCEPT %[2]s) a), (SELECT count(*) FROM (%[2]s EXCEPT %[1]s) b)`, ours, theirs), d.key, i).Scan(&more, &fewer)
		if err != nil {
			return fmt.Errorf("compare %s: %w", d.key, err)
		}
		if more > 0 || fewer > 0 {
			return fmt.Errorf("%s differs: %d rows only in the product, %d only in plain SQL", d.key, more, fewer)
		}
	}
	return nil
}
