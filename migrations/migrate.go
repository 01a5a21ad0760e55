package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Up brings the database to the newest version and returns the migrations that it
// applied. Several processes may call it at once: one works, the others wait. When
// the context ends, the waiting ends too; a migration that is running is still
// finished, and the ones after it are not begun.
//
// The error is a *FailedError if a file failed, a *DirtyError if one was cut off
// earlier, a *NewerError if the database is ahead of this program.
func Up(ctx context.Context, dsn string) ([]Migration, error) {
	return up(ctx, dsn, embedded)
}

// Down takes all migrations back, and with them all data. It is for tests.
func Down(ctx context.Context, dsn string) error {
	return down(ctx, dsn, embedded)
}

func down(ctx context.Context, dsn string, files fs.FS) error {
	r, err := open(ctx, dsn, files)
	if err != nil {
		return err
	}
	s, err := r.ready(ctx)
	if err != nil {
		return r.close(err)
	}
	return r.close(r.steps(ctx, -1, len(s.Migrations)-len(s.Pending())))
}

func up(ctx context.Context, dsn string, files fs.FS) ([]Migration, error) {
	r, err := open(ctx, dsn, files)
	if err != nil {
		return nil, err
	}
	before, err := r.ready(ctx)
	if err != nil {
		return nil, r.close(err)
	}
	if err := r.steps(ctx, +1, len(before.Pending())); err != nil {
		return nil, r.close(err)
	}
	after, err := r.status(ctx)
	if err := r.close(err); err != nil {
		return nil, err
	}
	var applied []Migration
	for i, m := range after.Migrations {
		if m.Applied() && !before.Migrations[i].Applied() {
			applied = append(applied, m)
		}
	}
	return applied, nil
}

// ready returns the state of a database that may be migrated.
func (r *runner) ready(ctx context.Context) (State, error) {
	s, err := r.status(ctx)
	if err != nil {
		return s, err
	}
	if s.Version > s.Latest {
		return s, &NewerError{Version: s.Version, Latest: s.Latest}
	}
	if s.Dirty { // nobody else is at it: the lock is ours
		version, _, err := r.driver.Version()
		if err != nil {
			return s, err
		}
		return s, &DirtyError{Version: uint(max(version, 0)), Name: r.name(uint(max(version, 0)))}
	}
	return s, nil
}

// steps goes so many files up or down, one at a time and looking at the context in
// between. golang-migrate's own way to stop, GracefulStop, is read by two of its
// goroutines without a lock.
func (r *runner) steps(ctx context.Context, direction, files int) error {
	for range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.Steps(direction); err != nil {
			return r.explain(context.WithoutCancel(ctx), err)
		}
	}
	return nil
}

// migrationsTable is golang-migrate's, in Schema; its name goes into the lock's id.
const migrationsTable = "schema_migrations"

// runner joins golang-migrate with one database.
type runner struct {
	config *pgx.ConnConfig
	files  []step
	driver database.Driver
	*migrate.Migrate
}

// open makes the tables that tell which migrations are in, and waits for other
// processes that are migrating the same database.
func open(ctx context.Context, dsn string, files fs.FS) (*runner, error) {
	all, err := steps(files)
	if err != nil {
		return nil, err
	}
	config, err := connection(dsn)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["search_path"] = Schema
	if err := prepare(ctx, config); err != nil {
		return nil, fmt.Errorf("prepare schema %s for migrations: %w", Schema, err)
	}
	r := &runner{config: config, files: all}
	if r.driver, err = openDriver(ctx, config); err != nil {
		return nil, fmt.Errorf("lock schema %s for migrations: %w", Schema, err)
	}
	plain, err := iofs.New(files, ".")
	if err != nil {
		return nil, errors.Join(err, r.driver.Close())
	}
	byVersion := make(map[uint]step, len(all))
	for _, s := range all {
		byVersion[s.Version] = s
	}
	r.Migrate, err = migrate.NewWithInstance("files", recorded{plain, byVersion}, Schema, r.driver)
	if err != nil {
		return nil, errors.Join(err, plain.Close(), r.driver.Close())
	}
	return r, nil
}

// close ends the session; the error given comes first.
func (r *runner) close(err error) error {
	errSource, errDatabase := r.Migrate.Close()
	return errors.Join(err, errSource, errDatabase)
}

// openDriver opens a session that holds the advisory lock on the schema until it
// is closed. golang-migrate takes the same lock again, as the same session may, but
// by itself would wait for another process without end; here the context ends that.
func openDriver(ctx context.Context, config *pgx.ConnConfig) (database.Driver, error) {
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(_ context.Context, conn *pgx.Conn) error {
		id, err := lockID(conn)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, `SELECT pg_advisory_lock($1::bigint)`, id)
		return err
	}))
	db.SetMaxOpenConns(1)
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{SchemaName: Schema, MigrationsTable: migrationsTable})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return driver, nil
}
