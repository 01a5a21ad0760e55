package migrations

import (
	"context"
	"time"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
)

// State tells how far a database's schema is.
type State struct {
	Version    uint        // the newest migration in the database, 0 if there is none
	Latest     uint        // the newest one that this program knows
	Dirty      bool        // one was begun and has not ended
	Running    bool        // another process is migrating now, which explains Dirty
	Migrations []Migration // all that this program knows, in order
}

// Pending lists the migrations that are not in the database yet.
func (s State) Pending() []Migration {
	var pending []Migration
	for _, m := range s.Migrations {
		if !m.Applied() {
			pending = append(pending, m)
		}
	}
	return pending
}

// Status reads how far the database's schema is. It changes nothing.
func Status(ctx context.Context, dsn string) (State, error) {
	all, err := steps(embedded)
	if err != nil {
		return State{}, err
	}
	config, err := connection(dsn)
	if err != nil {
		return State{}, err
	}
	return (&runner{config: config, files: all}).status(ctx)
}

func (r *runner) status(ctx context.Context) (s State, err error) {
	err = session(ctx, r.config, func(conn *pgx.Conn) error {
		s, err = readState(ctx, conn, r.files)
		return err
	})
	return s, err
}

func readState(ctx context.Context, conn *pgx.Conn, all []step) (State, error) {
	var s State
	rows, err := readHistory(ctx, conn)
	if err != nil {
		return s, err
	}
	applied := make(map[uint]historyRow, len(rows))
	for _, row := range rows {
		applied[row.Version] = row
		s.Version = max(s.Version, row.Version)
	}
	for _, step := range all {
		m := step.Migration
		if row, ok := applied[m.Version]; ok {
			m.AppliedAt, m.Edited = row.AppliedAt, row.Checksum != step.checksum
		}
		s.Migrations = append(s.Migrations, m)
		s.Latest = max(s.Latest, m.Version)
	}
	if exists, err := tableExists(ctx, conn, "muster.schema_migrations"); err != nil || !exists {
		return s, err
	}
	err = conn.QueryRow(ctx, `SELECT coalesce(bool_or(dirty), false) FROM muster.schema_migrations`).Scan(&s.Dirty)
	if err != nil || !s.Dirty {
		return s, err
	}
	s.Running, err = lockHeld(ctx, conn)
	return s, err
}

// historyRow is a row of muster.schema_history.
type historyRow struct {
	Version   uint
	Checksum  string
	AppliedAt time.Time
}

// readHistory lists the migrations in the database, none if it knows of none.
func readHistory(ctx context.Context, conn *pgx.Conn) ([]historyRow, error) {
	if exists, err := tableExists(ctx, conn, "muster.schema_history"); err != nil || !exists {
		return nil, err
	}
	rows, err := conn.Query(ctx, `SELECT version, checksum, applied_at FROM muster.schema_history ORDER BY version`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[historyRow])
}

func tableExists(ctx context.Context, conn *pgx.Conn, name string) (exists bool, err error) {
	err = conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&exists)
	return exists, err
}

// lockID is the number of the advisory lock that golang-migrate takes.
func lockID(conn *pgx.Conn) (string, error) {
	return database.GenerateAdvisoryLockId(conn.Config().Database, Schema, migrationsTable)
}

// lockHeld tells whether another session is migrating.
func lockHeld(ctx context.Context, conn *pgx.Conn) (bool, error) {
	id, err := lockID(conn)
	if err != nil {
		return false, err
	}
	var free bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::bigint)`, id).Scan(&free)
	if err == nil && free {
		_, err = conn.Exec(ctx, `SELECT pg_advisory_unlock($1::bigint)`, id)
	}
	return !free, err
}
