package store

import (
	"context"
	"errors"
)

// Ready tells whether calls can be stored now. The errors say no more than an anonymous
// caller may know.
func (s *Store) Ready(ctx context.Context) error {
	var readOnly, migrated bool
	err := s.pool.QueryRow(ctx, `
		SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on', to_regclass('muster.kept_events') IS NOT NULL`).Scan(&readOnly, &migrated)
	switch {
	case err != nil:
		return errors.New("the database does not answer")
	case readOnly:
		return errors.New("the database takes no writes: it is a standby, or read-only")
	case !migrated:
		return errors.New("the database has not the schema of this program")
	}
	return nil
}
