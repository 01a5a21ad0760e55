package migrations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Reader is the role that may read the views of the schema inspect, and nothing else. It
// cannot log in: those who may become it are its members. Roles belong to a server, so that
// all databases of one server share it.
const Reader = "muster_reader"

// ReaderError says that the database's user may not do what the role Reader needs, and
// what somebody who may has to run.
type ReaderError struct {
	Statement string
	Err       error
}

func (e *ReaderError) Unwrap() error { return e.Err }

func (e *ReaderError) Error() string {
	return fmt.Sprintf("the read-only role %s is not complete: %v; everything else works. Somebody who may make roles has to run: %s", Reader, e.Err, e.Statement)
}

// readerTries bounds how often GrantReader begins anew after another database of the same
// server has changed the role at the same moment.
const readerTries = 5

// GrantReader makes the role Reader, lets it read the views of inspect, and makes the
// present user its member, as far as that is not so yet. The error is a *ReaderError where
// the user may not, as is usual with a PostgreSQL that others run.
func GrantReader(ctx context.Context, dsn string) (err error) {
	config, err := connection(dsn)
	if err != nil {
		return fmt.Errorf("make the role %s: %w", Reader, err)
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("make the role %s: %w", Reader, err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	for try := 1; ; try++ {
		err := grantReader(ctx, conn)
		var pg *pgconn.PgError
		// 42710 and 23505: somebody else has made it. XX000: "tuple concurrently updated".
		if !errors.As(err, &pg) || pg.Code != "42710" && pg.Code != "23505" && pg.Code != "XX000" || try == readerTries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

// readerSteps are what the role needs: a question whose answer says whether it is so, and
// the statement that makes it so.
var readerSteps = []struct{ done, statement string }{
	{`SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'muster_reader')`, `CREATE ROLE muster_reader NOLOGIN`},
	{`SELECT has_schema_privilege('muster_reader', 'inspect', 'USAGE')`, `GRANT USAGE ON SCHEMA inspect TO muster_reader`},
	{
		`SELECT coalesce(bool_and(has_table_privilege('muster_reader', c.oid, 'SELECT')), true)
		FROM pg_class c WHERE c.relnamespace = 'inspect'::regnamespace AND c.relkind IN ('v', 'm')`,
		`GRANT SELECT ON ALL TABLES IN SCHEMA inspect TO muster_reader`,
	},
	{
		// From version 16 on a member may still be kept from becoming the role.
		`SELECT pg_has_role('muster_reader', CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)`,
		`GRANT muster_reader TO CURRENT_USER`,
	},
}

func grantReader(ctx context.Context, conn *pgx.Conn) error {
	for _, step := range readerSteps {
		var done bool
		if err := conn.QueryRow(ctx, step.done).Scan(&done); err != nil {
			return fmt.Errorf("look at the role %s: %w", Reader, err)
		}
		if done {
			continue
		}
		_, err := conn.Exec(ctx, step.statement)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "42501" { // insufficient_privilege
			statement := step.statement
			if step.statement == readerSteps[len(readerSteps)-1].statement {
				statement = "GRANT muster_reader TO " + pgx.Identifier{conn.Config().User}.Sanitize()
			}
			return &ReaderError{Statement: statement, Err: errors.New(pg.Message)}
		}
		if err != nil {
			return fmt.Errorf("make the role %s: %w", Reader, err)
		}
	}
	return nil
}
