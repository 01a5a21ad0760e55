package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"
)

// FailedError tells which file failed, where and why, and what to do.
type FailedError struct {
	File    string          // such as "000003_events.up.sql"
	Line    int             // from 1; 0 if PostgreSQL did not say
	Text    string          // that line
	Version uint            // what the database is at, the file having been undone
	Err     *pgconn.PgError // what PostgreSQL said
}

func (e *FailedError) Unwrap() error { return e.Err }

func (e *FailedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "migration %s failed", e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, " at line %d", e.Line)
	}
	fmt.Fprintf(&b, ": %s (SQLSTATE %s)", e.Err.Message, e.Err.Code)
	if e.Line > 0 {
		fmt.Fprintf(&b, "\n  %4d | %s", e.Line, e.Text)
	}
	for _, more := range []struct{ name, text string }{{"detail", e.Err.Detail}, {"hint", e.Err.Hint}, {"where", e.Err.Where}} {
		if more.text != "" {
			fmt.Fprintf(&b, "\n  %s: %s", more.name, more.text)
		}
	}
	fmt.Fprintf(&b, "\nPostgreSQL has undone the whole file: the database is at version %d, and the data are as before.\n"+
		"Remove the cause, then run: muster migrate repair && muster migrate up", e.Version)
	return b.String()
}

// DirtyError says that a migration was cut off earlier, so that it must be looked
// up what of it is there before going on.
type DirtyError struct {
	Version uint   // the migration that was cut off
	Name    string // its name, "" if this program does not know it
}

func (e *DirtyError) Error() string {
	return fmt.Sprintf("a migration was begun and did not end: version %d %s\n"+
		"It failed, or its process was killed. Run: muster migrate repair\n"+
		"That looks up what of it is in the database; then muster migrate up goes on from there.", e.Version, e.Name)
}

// NewerError says that a newer program has migrated the database.
type NewerError struct {
	Version, Latest uint
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("the database is at version %d, but this program knows versions up to %d only: run a newer muster", e.Version, e.Latest)
}

// explain turns golang-migrate's errors into ours.
func (r *runner) explain(ctx context.Context, err error) error {
	// golang-migrate's own errors hide what they wrap.
	pgErr, query := postgresError(err)
	if pgErr == nil {
		return err
	}
	version, dirty, errVersion := r.driver.Version()
	state, errState := r.status(ctx)
	if errVersion != nil || errState != nil || !dirty {
		return fmt.Errorf("migrate: %w", pgErr)
	}
	failed := &FailedError{Version: state.Version, Err: pgErr}
	// golang-migrate notes beforehand the version that a file leads to: its own, or for a down file the one below.
	if version > int(state.Version) {
		failed.File = r.name(uint(version)) + ".up.sql"
	} else {
		failed.File = r.name(state.Version) + ".down.sql"
	}
	failed.Line, failed.Text = lineAt(query, int(pgErr.Position))
	return failed
}

// postgresError digs out what PostgreSQL said, and to which text.
func postgresError(err error) (*pgconn.PgError, string) {
	failed, ok := errors.AsType[database.Error](err)
	if !ok {
		pointer, ok := errors.AsType[*database.Error](err)
		if !ok {
			return nil, ""
		}
		failed = *pointer
	}
	pgErr, _ := errors.AsType[*pgconn.PgError](failed.OrigErr)
	return pgErr, string(failed.Query)
}

// lineAt finds the line of a character position (from 1), as PostgreSQL counts.
func lineAt(text string, position int) (int, string) {
	runes := []rune(text)
	if position < 1 || position > len(runes) {
		return 0, ""
	}
	before := string(runes[:position-1])
	start := strings.LastIndexByte(before, '\n') + 1
	line, _, _ := strings.Cut(text[start:], "\n")
	return strings.Count(before, "\n") + 1, line
}

// name returns the name of a version's migration, "" if it is not known.
func (r *runner) name(version uint) string {
	for _, s := range r.files {
		if s.Version == version {
			return s.Name
		}
	}
	return ""
}
