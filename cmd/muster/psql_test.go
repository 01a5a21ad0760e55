package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"muster/internal/pgtest"
	"muster/migrations"
)

// asReader runs muster psql with arguments.
func asReader(t *testing.T, dsn string, args ...string) (code int, out, errs string) {
	t.Helper()
	if _, err := os.Stat(pgtest.Bin(t) + "/psql"); err != nil {
		t.Skip("this PostgreSQL comes without psql")
	}
	t.Setenv("MUSTER_PG_BIN", pgtest.Bin(t))
	var stdout, stderr bytes.Buffer
	env := &environment{in: strings.NewReader(""), out: &stdout, err: &stderr, now: time.Now, lookup: func(name string) (string, bool) { return dsn, name == "DATABASE_URL" }}
	code = run(t.Context(), env, append([]string{"psql"}, args...))
	return code, stdout.String(), stderr.String()
}

func TestPsqlLooksAndDoesNotTouch(t *testing.T) {
	dsn := pgtest.DSN(t)
	code, out, errs := asReader(t, dsn, "--no-psqlrc", "-At", "-c", "SELECT current_user, count(*) FROM computations", "--config", writeFile(t, "muster.yaml", ""))
	if code != exitOK || out != "muster_reader|0\n" {
		t.Errorf("it ends with %d and says %q, %q", code, out, errs)
	}
	for _, statement := range []string{
		"SELECT * FROM muster.sources",
		"CREATE TABLE inspect.mine (x int)",
		"UPDATE muster.profiles SET merges = 0",
		"BEGIN READ WRITE; DELETE FROM muster.events", // it is not only the transaction that says no
	} {
		if code, out, errs := asReader(t, dsn, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-c", statement); code == exitOK || !strings.Contains(errs, "ERROR:") {
			t.Errorf("%s: ends with %d, %q, %q", statement, code, out, errs)
		}
	}
	if code, out, _ := asReader(t, dsn, "--help"); code != exitOK || !strings.Contains(out, "muster psql [flags]") {
		t.Errorf("help ends with %d: %s", code, out)
	}
	if code, _, errs := asReader(t, dsn, "--config"); code != exitUsage || !strings.Contains(errs, "flag needs an argument") {
		t.Errorf("a flag without its argument ends with %d: %s", code, errs)
	}
}

// A login that is a member of the role reads each view of inspect, and can neither read
// nor write anything else, whatever it tries.
func TestReaderReadsInspectAndNothingElse(t *testing.T) {
	ctx, dsn := t.Context(), pgtest.DSN(t)
	if err := migrations.GrantReader(ctx, dsn); err != nil {
		t.Fatal(err)
	}
	owner := database(t, dsn)
	login := fmt.Sprintf("colleague_%d", os.Getpid())
	if _, err := owner.Exec(ctx, "CREATE ROLE "+login+" LOGIN PASSWORD 'p' IN ROLE muster_reader"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_, _ = conn.Exec(t.Context(), "DROP ROLE "+login)
			conn.Close(t.Context())
		}
	})
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.User, config.Password = login, "p"
	reader, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Skipf("this server lets nobody else in: %v", err)
	}
	defer reader.Close(ctx)
	rows, err := owner.Query(ctx, `
		SELECT n.nspname, c.relname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('muster', 'inspect') AND c.relkind IN ('r', 'p', 'v', 'm', 'S') ORDER BY 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	relations, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Schema, Name, Kind string }])
	if err != nil {
		t.Fatal(err)
	}
	refused := func(statement string) {
		t.Helper()
		_, err := reader.Exec(ctx, statement)
		// Not allowed, or not possible with a view: none of it is a mistake in the statement.
		if pg := (*pgconn.PgError)(nil); !errors.As(err, &pg) || !slices.Contains([]string{"42501", "55000", "42809"}, pg.Code) {
			t.Errorf("%s: %v; want that it is refused", statement, err)
		}
	}
	// What is kept of a destination's secrets is in no view.
	_, err = owner.Exec(ctx, `INSERT INTO muster.destinations (name, kind, created_at, configuration)
		VALUES ('m', 'mixpanel', now(), '{"secrets": {"token": {"variable": "ITS_VARIABLE", "hash": "its-hash"}}}')`)
	if err != nil {
		t.Fatal(err)
	}
	views := 0
	for _, r := range relations {
		name := pgx.Identifier{r.Schema, r.Name}.Sanitize()
		switch {
		case r.Schema == "inspect":
			views++
			if _, err := reader.Exec(ctx, "SELECT * FROM "+name+" LIMIT 10"); err != nil {
				t.Errorf("%s cannot be read: %v", name, err)
			}
			var shown int
			err := reader.QueryRow(ctx, "SELECT count(*) FROM "+name+" v WHERE v::text ~ 'ITS_VARIABLE|its-hash'").Scan(&shown)
			if err != nil || shown > 0 {
				t.Errorf("%s shows what is kept of secrets: %d rows, %v", name, shown, err)
			}
		case r.Kind == "S":
			refused("SELECT nextval('" + name + "')")
			continue
		default:
			refused("SELECT * FROM " + name)
		}
		refused("INSERT INTO " + name + " DEFAULT VALUES")
		refused("DELETE FROM " + name)
		refused("TRUNCATE " + name)
	}
	if views < 20 {
		t.Errorf("only %d views were read", views)
	}
	for _, statement := range []string{
		"CREATE TABLE muster.mine (x int)", "CREATE TABLE inspect.mine (x int)", "DROP VIEW inspect.members", "CREATE SCHEMA mine", "SET ROLE " + pgx.Identifier{owner.Config().ConnConfig.User}.Sanitize(),
		"SELECT pg_read_file('postgresql.conf')",
	} {
		refused(statement)
	}
}

// Where roles cannot be made, it says so, and what to run.
func TestReaderWhereRolesCannotBeMade(t *testing.T) {
	ctx, dsn := t.Context(), pgtest.DSN(t)
	owner := database(t, dsn)
	login := fmt.Sprintf("tenant_%d", os.Getpid())
	// As with a managed PostgreSQL: the user owns the schemas, and may not touch roles.
	for _, statement := range []string{
		"CREATE ROLE " + login + " LOGIN PASSWORD 'p'", "ALTER SCHEMA inspect OWNER TO " + login, "ALTER SCHEMA muster OWNER TO " + login,
		"GRANT ALL ON ALL TABLES IN SCHEMA muster TO " + login,
		"DO $$ DECLARE v regclass; BEGIN FOR v IN SELECT oid FROM pg_class WHERE relnamespace = 'inspect'::regnamespace AND relkind = 'v' LOOP EXECUTE format('ALTER VIEW %s OWNER TO " + login + "', v); END LOOP; END $$",
	} {
		if _, err := owner.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_, _ = conn.Exec(t.Context(), "REASSIGN OWNED BY "+login+" TO CURRENT_USER")
			_, _ = conn.Exec(t.Context(), "DROP OWNED BY "+login)
			_, _ = conn.Exec(t.Context(), "DROP ROLE "+login)
			conn.Close(t.Context())
		}
	})
	as := strings.NewReplacer("user="+owner.Config().ConnConfig.User, "user="+login).Replace(dsn)
	if as == dsn {
		t.Skip("this DSN names its user otherwise")
	}
	_, _ = owner.Exec(ctx, "CREATE ROLE muster_reader NOLOGIN") // another database of this server may have it
	err := migrations.GrantReader(ctx, as)
	var missing *migrations.ReaderError
	if !errors.As(err, &missing) || missing.Statement != `GRANT muster_reader TO "`+login+`"` {
		t.Fatalf("it says %v", err)
	}
	if code, _, errs := asReader(t, as, "-c", "SELECT 1"); code != exitFailed || !strings.Contains(errs, missing.Statement) {
		t.Errorf("muster psql ends with %d: %s", code, errs)
	}
	if _, err := owner.Exec(ctx, missing.Statement); err != nil {
		t.Fatal(err)
	}
	if err := migrations.GrantReader(ctx, as); err != nil {
		t.Errorf("after somebody has helped: %v", err)
	}
	if code, out, errs := asReader(t, as, "--no-psqlrc", "-Atc", "SELECT count(*) FROM members"); code != exitOK || out != "0\n" {
		t.Errorf("muster psql ends with %d: %s%s", code, out, errs)
	}
}
