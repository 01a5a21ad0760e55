package migrations

import (
	"context"
	"io/fs"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5"
)

// Repair sorts out a database whose migration was cut off (State.Dirty): it looks
// up in the history what is really there, and sets golang-migrate's version to it.
// It waits for a migration that another process is running. Afterwards Up goes on;
// a database that needs no repair is left alone.
func Repair(ctx context.Context, dsn string) (State, error) {
	return repair(ctx, dsn, embedded)
}

func repair(ctx context.Context, dsn string, files fs.FS) (State, error) {
	r, err := open(ctx, dsn, files)
	if err != nil {
		return State{}, err
	}
	s, err := r.repair(ctx)
	return s, r.close(err)
}

func (r *runner) repair(ctx context.Context) (s State, err error) {
	err = session(ctx, r.config, func(conn *pgx.Conn) error {
		history, err := readHistory(ctx, conn)
		if err != nil {
			return err
		}
		version := database.NilVersion
		if n := len(history); n > 0 {
			version = int(history[n-1].Version)
		}
		recorded, dirty, err := r.driver.Version()
		if err != nil {
			return err
		}
		if dirty || recorded != version {
			if err := r.driver.SetVersion(version, false); err != nil {
				return err
			}
		}
		s, err = readState(ctx, conn, r.files)
		return err
	})
	return s, err
}
