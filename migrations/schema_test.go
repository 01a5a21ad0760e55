package migrations_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"muster/internal/pgtest"
	"muster/migrations"
)

func init() { migrations.EmptyDSN = pgtest.Empty }

var update = flag.Bool("update", false, "write schema.sql anew")

// schema.sql is what all migrations add up to.
func TestSchemaFileIsUpToDate(t *testing.T) {
	got, major := dump(t, pgtest.DSN(t))
	header := fmt.Sprintf("-- The schema after all migrations, for reading. PostgreSQL %s wrote it: go test ./migrations -update\n\n", major)
	got = header + got
	if *update {
		if err := os.WriteFile("schema.sql", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("schema.sql")
	if errors.Is(err, os.ErrNotExist) {
		t.Fatal("schema.sql is missing; make it with: go test ./migrations -update")
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(want, []byte(header)) && bytes.HasPrefix(want, []byte("-- The schema after all migrations")) {
		t.Skipf("schema.sql was written by another version than PostgreSQL %s, which would word it differently", major)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("schema.sql is not what the migrations make (-schema.sql +migrations); renew it with: go test ./migrations -update\n%s", diff)
	}
}

// dump returns what pg_dump says of the schemas, without its settings and remarks,
// and the major version of the server.
func dump(t *testing.T, dsn string) (text, major string) {
	t.Helper()
	bin := pgtest.Bin(t)
	if bin == "" {
		t.Skip("pg_dump of the same version is needed, and the server is not a local one")
	}
	program := filepath.Join(bin, "pg_dump")
	if _, err := os.Stat(program); err != nil {
		t.Skip("this PostgreSQL comes without pg_dump")
	}
	cmd := exec.CommandContext(t.Context(), program, "--schema-only", "--no-owner", "--no-privileges",
		"--schema=muster", "--schema=inspect*", "--dbname="+dsn)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v\n%s", err, stderr.String())
	}
	version := regexp.MustCompile(`Dumped by pg_dump version (\d+)`).FindSubmatch(out)
	if version == nil {
		t.Fatalf("no version in pg_dump's output:\n%.300s", out)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if noise := strings.HasPrefix(line, "--") || strings.HasPrefix(line, "SET ") ||
			strings.HasPrefix(line, "SELECT pg_catalog.set_config") || strings.HasPrefix(line, `\`); !noise {
			lines = append(lines, strings.TrimRight(line, " \n"))
		}
	}
	text = regexp.MustCompile(`\n{3,}`).ReplaceAllString(strings.Join(lines, "\n"), "\n\n")
	return strings.TrimSpace(text) + "\n", string(version[1])
}

// Every table, view, column and sequence says what it is for.
func TestEverythingHasAComment(t *testing.T) {
	db := pgtest.New(t)
	rows, err := db.Query(t.Context(), `
		SELECT n.nspname || '.' || c.relname || coalesce('.' || a.attname, '')
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		LEFT JOIN LATERAL (
			SELECT 0 AS attnum, NULL::name AS attname
			UNION ALL
			SELECT attnum, attname FROM pg_attribute
			WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND c.relkind <> 'S'
		) a ON true
		WHERE n.nspname IN ('muster', 'inspect')
		  AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
		  AND NOT c.relispartition
		  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('i', 'a') AND c.relkind = 'S')
		  AND coalesce(col_description(c.oid, a.attnum), '') = ''
		  AND coalesce(CASE WHEN a.attnum = 0 THEN obj_description(c.oid, 'pg_class') END, '') = ''
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range silent {
		t.Errorf("%s has no COMMENT", name)
	}
	var described int
	if err := db.QueryRow(t.Context(), `SELECT count(*) FROM pg_description WHERE objoid = 'muster.schema_history'::regclass`).Scan(&described); err != nil || described != 5 {
		t.Errorf("schema_history has %d comments, %v: does this test see any?", described, err)
	}
}

// Down takes back all that Up made, and Up makes the same again.
func TestUpDownUp(t *testing.T) {
	dsn := pgtest.Empty(t)
	if _, err := migrations.Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	first, _ := dump(t, dsn)
	if err := migrations.Down(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `
		SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('muster', 'inspect') AND c.relkind <> 'i'
		UNION ALL
		SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('muster', 'inspect')
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"schema_history", "schema_migrations"}, left); diff != "" {
		t.Errorf("left after Down:\n%s", diff)
	}
	if _, err := migrations.Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	second, _ := dump(t, dsn)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second Up makes another schema:\n%s", diff)
	}
}
