package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Health is what the database says of itself, for those who look for trouble.
type Health struct {
	Clock      time.Time // of the database, when it answered
	User, Name string
	Encoding   string
	ReadOnly   bool              // a standby, or set so
	Settings   map[string]string // of those that matter, as SHOW tells them
	Extensions []string
	MayCreate  bool // tables in the schema muster: partitions are made as they are needed
	Reader     bool // the role of readers exists and may read

	Connections, MaxConnections int64
	Bytes                       int64 // of the whole database
	FrozenAge                   int64 // transactions since the oldest row that is not frozen
	// OldestTransaction is when the oldest transaction in this database began, other than this
	// one; zero: there is none.
	OldestTransaction time.Time
	OldestApplication string
	Bloated           []BloatedTable

	Lanes      []StaleLane  // whose process has died, and nobody took over
	Serving    bool         // some process holds a lease on a lane
	Slots      []StaleSlot  // whose attempt was begun and given up by a process that died
	Backfill   *StaleWork   // the one that runs, or nil
	Behind     []BehindWork // computations that are not live, with their reason
	Suppressed int64        // hashes on the suppression list
	KeptSince  time.Time    // how far back the log goes; zero: nothing was dropped
}

// BloatedTable has more dead rows than live ones.
type BloatedTable struct {
	Name       string
	Live, Dead int64
	VacuumedAt *time.Time
}

// StaleLane is a lane whose lease has run out.
type StaleLane struct {
	Destination string
	Lane        int
	LeaseUntil  time.Time
}

// StaleSlot is a slot that is said to run, and whose lease has run out.
type StaleSlot struct {
	Schedule   string
	Slot       time.Time
	LeaseUntil time.Time
}

// StaleWork is how far a backfill is.
type StaleWork struct {
	StartedAt    time.Time
	ProgressedAt *time.Time
	Done, Total  int64
}

// BehindWork is a computation that is not live.
type BehindWork struct{ Key, Status, Reason string }

// bloatFrom is how many dead rows a table must have to be worth a word.
const bloatFrom = 100_000

// healthSettings are the settings of PostgreSQL that matter to Muster.
var healthSettings = []string{
	"fsync", "full_page_writes", "synchronous_commit", "autovacuum", "shared_buffers", "statement_timeout", "transaction_timeout",
	"idle_in_transaction_session_timeout", "default_transaction_isolation", "max_wal_size", "max_locks_per_transaction",
}

// Health asks the database about itself, and about what is stuck. now is for leases.
func (s *Store) Health(ctx context.Context, now time.Time) (Health, error) {
	h := Health{Settings: make(map[string]string)}
	var b pgx.Batch
	b.Queue(`
		SELECT current_user, current_database(), getdatabaseencoding(), pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
			has_schema_privilege('muster', 'CREATE'),
			EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'muster_reader' AND has_schema_privilege(r.oid, 'inspect', 'USAGE')),
			(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), current_setting('max_connections')::bigint,
			pg_database_size(current_database()), (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()),
			(SELECT count(*) FROM suppressions), coalesce((SELECT since FROM kept_events), 'epoch')`).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&h.User, &h.Name, &h.Encoding, &h.ReadOnly, &h.MayCreate, &h.Reader, &h.Connections, &h.MaxConnections,
			&h.Bytes, &h.FrozenAge, &h.Suppressed, &h.KeptSince)
		if h.KeptSince.Unix() == 0 {
			h.KeptSince = time.Time{}
		}
		return err
	})
	b.Queue(`SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1)`, healthSettings).Query(func(rows pgx.Rows) error {
		var name, value string
		_, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { h.Settings[name] = value; return nil })
		return err
	})
	b.Queue(`SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1`).Query(gather(&h.Extensions, pgx.RowTo[string]))
	b.Queue(`
		SELECT xact_start, application_name FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL ORDER BY xact_start LIMIT 1`).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&h.OldestTransaction, &h.OldestApplication}, func() error { return nil })
		return err
	})
	b.Queue(`
		SELECT relname::text, n_live_tup, n_dead_tup, greatest(last_vacuum, last_autovacuum) FROM pg_stat_user_tables
		WHERE schemaname = 'muster' AND n_dead_tup > $1 AND n_dead_tup > n_live_tup ORDER BY n_dead_tup DESC LIMIT 5`, bloatFrom).
		Query(gather(&h.Bloated, pgx.RowToStructByPos[BloatedTable]))
	b.Queue(`
		SELECT d.name, p.lane, p.lease_until FROM queue_positions p JOIN destinations d USING (destination_id)
		WHERE p.owner <> '' AND p.lease_until < $1 AND d.removed_at IS NULL ORDER BY 1, 2`, now).Query(gather(&h.Lanes, pgx.RowToStructByPos[StaleLane]))
	b.Queue(`SELECT EXISTS (SELECT FROM queue_positions WHERE owner <> '' AND lease_until >= $1)`, now).QueryRow(func(row pgx.Row) error { return row.Scan(&h.Serving) })
	b.Queue(`SELECT schedule, slot, lease_until FROM slots WHERE status = 'running' AND lease_until < $1 ORDER BY slot`, now).
		Query(gather(&h.Slots, pgx.RowToStructByPos[StaleSlot]))
	b.Queue(`SELECT started_at, progressed_at, profiles_done, profiles_total FROM backfills WHERE status = 'running'`).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[StaleWork])
		if len(found) > 0 {
			h.Backfill = found[0]
		}
		return err
	})
	b.Queue(`SELECT key, status, coalesce(status_reason, '') FROM computations WHERE status NOT IN ('live', 'deleted') ORDER BY key`).
		Query(gather(&h.Behind, pgx.RowToStructByPos[BehindWork]))
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return h, fmt.Errorf("ask the database about itself: %w", err)
	}
	// Alone, so that what is compared with it is close in time.
	if err := s.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&h.Clock); err != nil {
		return h, fmt.Errorf("ask the database for the time: %w", err)
	}
	return h, nil
}

// gather is a reader of rows for a batch.
func gather[T any](into *[]T, f pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, f)
		return err
	}
}
