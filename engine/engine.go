package engine

import (
	"context"
	"sync/atomic"

	"muster/identity"
)

// Engine computes: it ingests calls, runs slots and backfills, and keeps what the
// ledger says and what is queued in step with it.
// It is safe for concurrent use, also by several processes on one database.
type Engine struct {
	repo    Repository
	rules   *identity.Rules
	catalog atomic.Pointer[Catalog]
	chunk   int
	chunks  int
}

// How many profiles slots, backfills and verifications take at a time, and how many times
// one transaction of a backfill does so, unless SetChunk says otherwise.
const (
	chunkOfProfiles  = 2500
	chunksOfBackfill = 4
)

// New returns an engine that works on the repository and joins identities by the rules.
func New(repo Repository, rules *identity.Rules) *Engine {
	return &Engine{repo: repo, rules: rules, chunk: chunkOfProfiles, chunks: chunksOfBackfill}
}

// SetChunk sets how many profiles slots, backfills and verifications take at a time, and
// how many times a transaction of a backfill does so: 2,500 and 4 unless it is called. It
// is called before the engine is used.
func (e *Engine) SetChunk(profiles, times int) { e.chunk, e.chunks = max(profiles, 1), max(times, 1) }

// current is the catalog, read anew only if it has changed. The transaction must have
// shared the gate or the catalog, so that it stays as it is.
func (e *Engine) current(ctx context.Context, tx Tx) (*Catalog, error) {
	version, err := tx.CatalogVersion(ctx)
	if err != nil {
		return nil, err
	}
	if c := e.catalog.Load(); c != nil && c.Version == version {
		return c, nil
	}
	c, err := tx.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	e.catalog.Store(c)
	return c, nil
}

// Catalog reads what is defined now.
func (e *Engine) Catalog(ctx context.Context) (*Catalog, error) {
	var c *Catalog
	err := e.repo.Transact(ctx, func(tx Tx) (err error) {
		if err := tx.ShareCatalog(ctx); err != nil {
			return err
		}
		c, err = e.current(ctx, tx)
		return err
	})
	return c, err
}
