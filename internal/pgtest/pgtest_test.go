package pgtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/internal/pgtest"
)

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			var path string
			var migrations int
			err := db.QueryRow(t.Context(), `SELECT current_setting('search_path'), (SELECT count(*) FROM schema_history)`).Scan(&path, &migrations)
			if err != nil {
				t.Fatal(err)
			}
			if path != "muster" || migrations == 0 {
				t.Errorf("search path %q, %d migrations", path, migrations)
			}
			if _, err := db.Exec(t.Context(), `CREATE TABLE only_here (n int)`); err != nil {
				t.Errorf("another test's table is here: %v", err)
			}
		})
	}
}

func TestDatabaseGoesWithTheTest(t *testing.T) {
	var dsn string
	t.Run("inner", func(t *testing.T) { dsn = pgtest.Empty(t) })
	if dsn == "" {
		t.Skip("the inner test was skipped")
	}
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		conn.Close(t.Context())
		t.Error("the database is still there")
	}
}

func TestEmptyHasNoTables(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), pgtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var exists bool
	if err := conn.QueryRow(t.Context(), `SELECT to_regnamespace('muster') IS NOT NULL`).Scan(&exists); err != nil || exists {
		t.Errorf("schema muster exists: %t, %v", exists, err)
	}
}

// rerun runs one test of this package in a process of its own.
func rerun(t *testing.T, test string, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), append(env, "MUSTER_TEST_RERUN=1")...)
	out, _ := cmd.CombinedOutput() // failing is what some of them are for
	return string(out)
}

// TestFails is for TestFailedDatabaseIsKept.
func TestFails(t *testing.T) {
	if os.Getenv("MUSTER_TEST_RERUN") == "" {
		t.Skip("only run by other tests")
	}
	db := pgtest.New(t)
	if _, err := db.Exec(t.Context(), `CREATE TABLE evidence AS SELECT 'here' AS it`); err != nil {
		t.Fatal(err)
	}
	t.Fail()
}

func TestFailedDatabaseIsKept(t *testing.T) {
	if os.Getenv("MUSTER_TEST_DATABASE_URL") != "" {
		t.Skip("the server is not ours to keep")
	}
	pgtest.Empty(t) // skips without PostgreSQL
	out := rerun(t, "TestFails", "MUSTER_TEST_KEEP=3s")
	found := regexp.MustCompile(`kept for 3s: psql '(.*)'`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no word of the kept database in:\n%s", out)
	}
	conn, err := pgx.Connect(t.Context(), found[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var it string
	if err := conn.QueryRow(t.Context(), `SELECT it FROM evidence`).Scan(&it); err != nil || it != "here" {
		t.Errorf("evidence: %q, %v", it, err)
	}
	for deadline := time.Now().Add(20 * time.Second); conn.Ping(t.Context()) == nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server still runs, long after its 3 seconds")
		}
	}
	if out := rerun(t, "TestFails", "CI=true", "MUSTER_TEST_KEEP="); strings.Contains(out, "kept") {
		t.Errorf("kept although CI=true:\n%s", out)
	}
}

func TestWithoutPostgres(t *testing.T) {
	none := []string{"MUSTER_PG_BIN=" + t.TempDir(), "MUSTER_TEST_DATABASE_URL=", "DOCKER_HOST=tcp://127.0.0.1:1"}
	if out := rerun(t, "TestEmptyHasNoTables", append(none, "CI=")...); !strings.Contains(out, "--- SKIP") || !strings.Contains(out, "three ways out") {
		t.Errorf("on a developer's machine:\n%s", out)
	}
	if out := rerun(t, "TestEmptyHasNoTables", append(none, "CI=true")...); !strings.Contains(out, "--- FAIL") || !strings.Contains(out, "three ways out") {
		t.Errorf("in CI:\n%s", out)
	}
}

func BenchmarkDSN(b *testing.B) {
	pgtest.DSN(b)
	for b.Loop() {
		pgtest.DSN(b)
	}
}
