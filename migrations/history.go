package migrations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// prepareSQL makes the schema and the two tables that tell which migrations are
// in: golang-migrate's, which it would make without comments, and our own.
// Nothing is touched if they exist, so that an ordinary user may run it.
const prepareSQL = `
DO $prepare$ BEGIN
IF to_regnamespace('muster') IS NULL THEN
    CREATE SCHEMA muster;
END IF;
IF to_regclass('muster.schema_migrations') IS NULL THEN
    CREATE TABLE muster.schema_migrations (
        version bigint PRIMARY KEY,
        dirty   boolean NOT NULL
    );
    COMMENT ON TABLE muster.schema_migrations IS 'One row: how far the schema is, as golang-migrate keeps it.';
    COMMENT ON COLUMN muster.schema_migrations.version IS 'Number of the newest migration, see schema_history.';
    COMMENT ON COLUMN muster.schema_migrations.dirty IS 'True while that migration runs, and for ever if it was cut off; muster migrate repair sorts that out.';
END IF;
IF to_regclass('muster.schema_history') IS NULL THEN
    CREATE TABLE muster.schema_history (
        version    bigint PRIMARY KEY CHECK (version > 0),
        name       text NOT NULL,
        checksum   text NOT NULL,
        applied_at timestamptz NOT NULL
    );
    COMMENT ON TABLE muster.schema_history IS 'The migrations that are in this database, each entered in its own transaction.';
    COMMENT ON COLUMN muster.schema_history.version IS 'Number of the migration.';
    COMMENT ON COLUMN muster.schema_history.name IS 'Its file, without .up.sql.';
    COMMENT ON COLUMN muster.schema_history.checksum IS 'SHA-256 of the file as it was applied, in hex.';
    COMMENT ON COLUMN muster.schema_history.applied_at IS 'When, by the database''s clock.';
END IF;
END $prepare$`

// prepare runs prepareSQL, one process at a time.
func prepare(ctx context.Context, config *pgx.ConnConfig) error {
	return session(ctx, config, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('muster.schema_history'))`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, prepareSQL)
			return err
		})
	})
}

// connection reads an address, in which settings of a pool are passed over.
func connection(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	return config.ConnConfig, nil
}

// session runs f with a connection of its own.
func session(ctx context.Context, config *pgx.ConnConfig, f func(*pgx.Conn) error) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	return errors.Join(f(conn), conn.Close(context.WithoutCancel(ctx)))
}

// recorded is a source of migrations that lets each file also write itself into
// the history, or cross itself out. PostgreSQL runs a text of several statements
// as one transaction, so the entry is there exactly if the rest is.
type recorded struct {
	source.Driver
	steps map[uint]step
}

func (r recorded) ReadUp(version uint) (io.ReadCloser, string, error) {
	s := r.steps[version]
	return appended(r.Driver.ReadUp(version))(fmt.Sprintf(
		`INSERT INTO muster.schema_history (version, name, checksum, applied_at) VALUES (%d, %s, '%s', now())`,
		version, quoted(s.Name), s.checksum))
}

func (r recorded) ReadDown(version uint) (io.ReadCloser, string, error) {
	return appended(r.Driver.ReadDown(version))(fmt.Sprintf(
		`DELETE FROM muster.schema_history WHERE version = %d`, version))
}

// appended returns a function that adds a statement to what was read. The line
// break ends a comment that the file may end with, the semicolon its last statement.
func appended(body io.ReadCloser, identifier string, err error) func(string) (io.ReadCloser, string, error) {
	return func(statement string) (io.ReadCloser, string, error) {
		if err != nil {
			return nil, "", err
		}
		defer body.Close()
		text, err := io.ReadAll(body)
		if err != nil {
			return nil, "", err
		}
		text = append(bytes.TrimRight(text, " \n"), "\n;\n"+statement+";\n"...)
		return io.NopCloser(bytes.NewReader(text)), identifier, nil
	}
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
