// Package store is Muster on PostgreSQL: every statement, beside the code that reads
// its rows, one file a subject. It implements what engine, ingest, scheduler and deliver
// ask of storage; it decides nothing.
//
// Three habits hold everywhere (docs/design.md, scaling out): time is a parameter, never
// now(); per-profile tables lead with the bucket, and statements name it; and many rows
// are one statement, never a statement in a loop.
package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"muster/engine"
	"muster/migrations"
)

// Advisory locks, one key each. They guard within one database only.
const (
	gateLock      = 0x6d757374_0001 // shared by ingestion, exclusive for a clean cut
	appendLock    = 0x6d757374_0002 // held from drawing places in the queue to the commit
	partitionLock = 0x6d757374_0003 // one process at a time makes partitions
	catalogLock   = 0x6d757374_0004 // shared by slots and backfills, exclusive for changes of the definitions
)

// defaultConnections is how many connections a process opens at most, unless the address
// says so itself (pool_max_conns): for ingestion, delivery, a slot, a backfill and scrapes.
const defaultConnections = 16

// maxTries is how often a transaction is begun before its conflict is reported.
const maxTries = 20

// Store is a database. It is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool

	mu         sync.RWMutex
	nameIDs    map[string]int64
	names      map[int64]string
	sources    map[int64]string
	partitions map[string]bool
	queueRoom  int64        // first place in the queue without a partition
	queueSeen  atomic.Int64 // the last place drawn, as far as this process knows
	// queueMeasured is 1 more than the number of the partition of the queue that was measured last.
	queueMeasured atomic.Int64

	knownIDs    knownIDs
	copyRows    int
	oldestCalls map[int64]int64 // by source: those before are trimmed from the debugger
	suppression suppressionState
}

// Open connects to the database and checks that its schema fits this program.
func Open(ctx context.Context, dsn string) (*Store, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the database address: %w", err)
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = max(config.MaxConns, defaultConnections)
	}
	config.ConnConfig.RuntimeParams["search_path"] = migrations.Schema
	config.ConnConfig.DialFunc = dialer.DialContext
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		// Times come back in UTC, whatever the zone of this machine.
		c.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	s := New(pool)
	if err := s.check(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// New is a store on a pool that somebody else opened and closes.
func New(pool *pgxpool.Pool) *Store {
	return &Store{
		pool: pool, nameIDs: make(map[string]int64), names: make(map[int64]string),
		sources: make(map[int64]string), partitions: make(map[string]bool), copyRows: copyRows,
		oldestCalls: make(map[int64]int64),
	}
}

// SetCopyRows sets from how many new rows on a table is written by COPY; 200 unless it is
// called. It is called before the store is used.
func (s *Store) SetCopyRows(n int) { s.copyRows = max(n, 1) }

// Close ends all connections.
func (s *Store) Close() { s.pool.Close() }

// Pool is the pool of connections, for those who inspect.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

func (s *Store) check(ctx context.Context) error {
	var buckets int
	err := s.pool.QueryRow(ctx, `SELECT buckets FROM catalog_version`).Scan(&buckets)
	if err != nil {
		return fmt.Errorf("read the schema (has it been migrated? run: muster migrate up): %w", err)
	}
	if buckets != engine.Buckets {
		return fmt.Errorf("the database was made with %d buckets and this program works with %d: use the program that made it", buckets, engine.Buckets)
	}
	return nil
}

// Transact runs f in one transaction, again after deadlocks, serialisation failures and
// engine.ErrAgain.
func (s *Store) Transact(ctx context.Context, f func(engine.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, s.pool, func(t pgx.Tx) error { return f(&tx{Tx: t, store: s}) })
		if err == nil || !again(err) || try == maxTries {
			return err
		}
		// Two that met once would meet again without a random pause.
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(rand.Int64N(int64(try)*int64(5*time.Millisecond)) + 1)):
		}
	}
}

// again tells whether the transaction can succeed when it is begun anew.
func again(err error) bool {
	if errors.Is(err, engine.ErrAgain) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return true
	}
	return false
}

// tx is a transaction.
type tx struct {
	pgx.Tx
	store *Store
}

var (
	_ engine.Tx         = (*tx)(nil)
	_ engine.Repository = (*Store)(nil)
)

// besideWait is how long Beside waits for a connection; a new one takes milliseconds.
const besideWait = time.Second

// Beside implements engine.Tx. A transaction that waits for a second connection while
// others with one do the same would never get it, so it does not wait for those.
func (t *tx) Beside(ctx context.Context) (engine.Reader, func(), error) {
	pool := t.store.pool
	if use := pool.Stat(); use.AcquiredConns() >= use.MaxConns() {
		return nil, nil, nil
	}
	wait, cancel := context.WithTimeout(ctx, besideWait)
	defer cancel()
	other, err := pool.BeginTx(wait, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly})
	if err != nil {
		if ctx.Err() == nil && errors.Is(wait.Err(), context.DeadlineExceeded) {
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("open a second connection: %w", err)
	}
	release := func() { _ = other.Rollback(context.WithoutCancel(ctx)) } // nothing was written
	return &tx{Tx: other, store: t.store}, release, nil
}

// ShareGate implements engine.Tx.
func (t *tx) ShareGate(ctx context.Context) error {
	_, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, int64(gateLock))
	return err
}

// ShareCatalog implements engine.Tx.
func (t *tx) ShareCatalog(ctx context.Context) error {
	_, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, int64(catalogLock))
	return err
}

// CloseCatalog implements engine.Tx. The gate comes last: while it waits for slots and
// backfills, ingestion goes on.
func (t *tx) CloseCatalog(ctx context.Context) error {
	for _, lock := range []int64{catalogLock, gateLock} {
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, lock); err != nil {
			return err
		}
	}
	return nil
}

// cutPoll is how often CleanCut looks whether those it waits for are done.
const cutPoll = 5 * time.Millisecond

// CleanCut implements engine.Repository. Whoever has drawn a place up to the last one holds
// the gate still, or is done: so it is enough to wait for those who hold it now. To close
// the gate instead would stop ingestion, for as long as the slowest of them waits for
// a profile that a slot holds.
func (s *Store) CleanCut(ctx context.Context) (int64, error) {
	var cut int64
	if err := s.pool.QueryRow(ctx, lastSeq, seqBlock).Scan(&cut); err != nil {
		return 0, fmt.Errorf("read the last place in the order of arrival: %w", err)
	}
	within, err := s.ingesting(ctx, nil)
	for err == nil && len(within) > 0 {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(cutPoll):
		}
		within, err = s.ingesting(ctx, within)
	}
	return cut, err
}

// ingesting lists the transactions that hold the gate, of these if any are given.
func (s *Store) ingesting(ctx context.Context, these []string) ([]string, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT virtualtransaction FROM pg_locks
		WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND classid::bigint = $1 AND objid::bigint = $2 AND objsubid = 1 AND granted AND ($3::text[] IS NULL OR virtualtransaction = ANY($3))`,
		int64(gateLock)>>32, int64(gateLock)&(1<<32-1), these)
	if err != nil {
		return nil, fmt.Errorf("look for those who are ingesting: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

const lastSeq = `SELECT CASE WHEN is_called THEN last_value + $1 - 1 ELSE 0 END FROM event_seq`

// LastSeq implements engine.Tx.
func (t *tx) LastSeq(ctx context.Context) (int64, error) {
	var last int64
	err := t.QueryRow(ctx, lastSeq, seqBlock).Scan(&last)
	return last, err
}

// seqBlock is how many places in the order of arrival one value of event_seq stands for.
const seqBlock = 1024

// NewSeqs implements engine.Tx.
func (t *tx) NewSeqs(ctx context.Context, n int) ([]int64, error) {
	rows, err := t.Query(ctx, `SELECT nextval('event_seq') FROM generate_series(1, $1)`, (n+seqBlock-1)/seqBlock)
	if err != nil {
		return nil, err
	}
	blocks, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	seqs := make([]int64, n)
	for i := range seqs {
		seqs[i] = blocks[i/seqBlock] + int64(i%seqBlock)
	}
	return seqs, nil
}
