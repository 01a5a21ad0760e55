package migrations

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// EmptyDSN is pgtest.Empty, set by schema_test.go: pgtest imports this package, so
// tests inside it cannot import pgtest.
var EmptyDSN func(testing.TB) string

// ladder is a small set of migrations; more files may be laid over it.
func ladder(over map[string]string) fs.FS {
	files := map[string]string{
		"000001_one.up.sql":     "CREATE TABLE muster.one (a int); -- no line break at the end",
		"000001_one.down.sql":   "DROP TABLE muster.one;\n",
		"000002_two.up.sql":     "CREATE TABLE muster.two (a int);\nINSERT INTO muster.two VALUES (1)",
		"000002_two.down.sql":   "DROP TABLE muster.two",
		"000003_three.up.sql":   "CREATE TABLE muster.three (a int);\n",
		"000003_three.down.sql": "DROP TABLE muster.three;\n",
	}
	maps.Copy(files, over)
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func names(migrations []Migration) string {
	var all []string
	for _, m := range migrations {
		all = append(all, m.Name)
	}
	return strings.Join(all, " ")
}

// exec runs SQL in the database, in a session of its own.
func exec(t *testing.T, dsn, sql string, args ...any) pgconn.CommandTag {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tag, err := conn.Exec(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return tag
}

func TestUpAppliesWhatIsMissing(t *testing.T) {
	dsn := EmptyDSN(t)
	before, err := Status(t.Context(), dsn)
	if err != nil || before.Version != 0 || before.Latest == 0 || before.Dirty || len(before.Pending()) != len(before.Migrations) {
		t.Fatalf("empty database: %+v, %v", before, err)
	}
	applied, err := Up(t.Context(), dsn)
	if err != nil || names(applied) != names(before.Migrations) {
		t.Fatalf("first: %s, %v", names(applied), err)
	}
	if applied, err = Up(t.Context(), dsn); err != nil || len(applied) != 0 {
		t.Errorf("second: %s, %v", names(applied), err)
	}
	after, err := Status(t.Context(), dsn)
	if err != nil || after.Version != after.Latest || len(after.Pending()) != 0 || after.Dirty || after.Running {
		t.Errorf("afterwards: %+v, %v", after, err)
	}
}

func TestSeveralProcessesAtOnce(t *testing.T) {
	dsn := EmptyDSN(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Up(t.Context(), dsn); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestFailedMigrationExplainsItselfAndIsRepaired(t *testing.T) {
	dsn := EmptyDSN(t)
	broken := ladder(map[string]string{"000002_two.up.sql": "-- größer\nCREATE TABLE muster.two (a int);\nSELECT b\n  FROM muster.two;\n"})
	_, err := up(t.Context(), dsn, broken)
	failed, ok := errors.AsType[*FailedError](err)
	if !ok {
		t.Fatalf("%v", err)
	}
	if failed.File != "000002_two.up.sql" || failed.Line != 3 || failed.Text != "SELECT b" || failed.Version != 1 {
		t.Errorf("%+v", failed)
	}
	for _, want := range []string{"000002_two.up.sql failed at line 3", `column "b" does not exist`, "3 | SELECT b", "at version 1", "muster migrate repair"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q:\n%v", want, err)
		}
	}

	_, err = up(t.Context(), dsn, ladder(nil))
	dirty, ok := errors.AsType[*DirtyError](err)
	if !ok || dirty.Version != 2 || dirty.Name != "000002_two" {
		t.Fatalf("before the repair: %v", err)
	}
	s, err := repair(t.Context(), dsn, ladder(nil))
	if err != nil || s.Dirty || s.Version != 1 || names(s.Pending()) != "000002_two 000003_three" {
		t.Fatalf("repair: %+v, %v", s, err)
	}
	applied, err := up(t.Context(), dsn, ladder(nil))
	if err != nil || names(applied) != "000002_two 000003_three" {
		t.Errorf("after the repair: %s, %v", names(applied), err)
	}
}

func TestFailedFirstMigration(t *testing.T) {
	dsn := EmptyDSN(t)
	_, err := up(t.Context(), dsn, ladder(map[string]string{"000001_one.up.sql": "DO $$ BEGIN RAISE 'no' USING HINT = 'try', DETAIL = 'more'; END $$"}))
	failed, ok := errors.AsType[*FailedError](err)
	if !ok || failed.File != "000001_one.up.sql" || failed.Line != 0 || failed.Version != 0 {
		t.Fatalf("%+v", err)
	}
	for _, want := range []string{"hint: try", "detail: more", "where: PL/pgSQL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message lacks %q:\n%v", want, err)
		}
	}
	if s, err := repair(t.Context(), dsn, ladder(nil)); err != nil || s.Version != 0 || s.Dirty {
		t.Fatalf("repair: %+v, %v", s, err)
	}
	if _, err := up(t.Context(), dsn, ladder(nil)); err != nil {
		t.Error(err)
	}
}

// The process was killed after the file had taken effect, before golang-migrate noted it.
func TestRepairKnowsWhatTookEffect(t *testing.T) {
	dsn := EmptyDSN(t)
	if _, err := up(t.Context(), dsn, ladder(nil)); err != nil {
		t.Fatal(err)
	}
	exec(t, dsn, `UPDATE muster.schema_migrations SET dirty = true`)
	if s, err := repair(t.Context(), dsn, ladder(nil)); err != nil || s.Dirty || s.Version != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	if applied, err := up(t.Context(), dsn, ladder(nil)); err != nil || len(applied) != 0 {
		t.Errorf("applied again: %s, %v", names(applied), err)
	}
}

func TestFailedDownMigration(t *testing.T) {
	dsn := EmptyDSN(t)
	if _, err := up(t.Context(), dsn, ladder(nil)); err != nil {
		t.Fatal(err)
	}
	err := down(t.Context(), dsn, ladder(map[string]string{"000002_two.down.sql": "DROP TABLE muster.nonesuch"}))
	failed, ok := errors.AsType[*FailedError](err)
	if !ok || failed.File != "000002_two.down.sql" || failed.Version != 2 {
		t.Fatalf("%v", err)
	}
	if s, err := repair(t.Context(), dsn, ladder(nil)); err != nil || s.Version != 2 || s.Dirty {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := down(t.Context(), dsn, ladder(nil)); err != nil {
		t.Error(err)
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	dsn := EmptyDSN(t)
	if _, err := up(t.Context(), dsn, ladder(map[string]string{"000009_nine.up.sql": "SELECT 1"})); err != nil {
		t.Fatal(err)
	}
	_, err := up(t.Context(), dsn, ladder(nil))
	if newer, ok := errors.AsType[*NewerError](err); !ok || newer.Version != 9 || newer.Latest != 3 {
		t.Errorf("%v", err)
	}
}

func TestEditedMigrationIsNoticed(t *testing.T) {
	dsn := EmptyDSN(t)
	if _, err := Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	exec(t, dsn, `UPDATE muster.schema_history SET checksum = 'other' WHERE version = 1`)
	s, err := Status(t.Context(), dsn)
	if err != nil || !s.Migrations[0].Edited || len(s.Migrations) > 1 && s.Migrations[1].Edited {
		t.Errorf("%+v, %v", s, err)
	}
}

// Another process is migrating: waiting for it ends with the context.
func TestWaitingEndsWithTheContext(t *testing.T) {
	dsn := EmptyDSN(t)
	r, err := open(t.Context(), dsn, ladder(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.driver.SetVersion(1, true); err != nil {
		t.Fatal(err)
	}
	if s, err := r.status(t.Context()); err != nil || !s.Dirty || !s.Running {
		t.Errorf("while another process works: %+v, %v", s, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	for name, operation := range map[string]func() error{
		"up":     func() error { _, err := up(ctx, dsn, ladder(nil)); return err },
		"repair": func() error { _, err := repair(ctx, dsn, ladder(nil)); return err },
	} {
		if err := operation(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("waited %s", took)
	}
	if err := r.close(nil); err != nil {
		t.Error(err)
	}
	// The server notices a little later that a session has ended.
	for tries := 1; ; tries++ {
		s, err := (&runner{config: r.config, files: r.files}).status(t.Context())
		if err != nil || tries == 100 {
			t.Fatalf("after the other process: %+v, %v", s, err)
		}
		if !s.Running {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A running migration is finished, the next one not begun.
func TestCancelIsGraceful(t *testing.T) {
	dsn := EmptyDSN(t)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	files := ladder(map[string]string{"000002_two.up.sql": "SELECT pg_sleep(1.5); CREATE TABLE muster.two (a int)"})
	if _, err := up(ctx, dsn, files); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	s, err := repair(t.Context(), dsn, files)
	if err != nil || s.Version != 2 || s.Dirty {
		t.Errorf("%+v, %v", s, err)
	}
}
