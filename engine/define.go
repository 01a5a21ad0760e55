package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/query"
)

// Define creates computations and edits those that exist, all in one transaction, and
// returns what was refused, key by key; the others are taken. An edit that changes the
// meaning becomes a new version, which serves once its backfill is complete. One that
// changes nothing changes nothing.
func (e *Engine) Define(ctx context.Context, definitions []Definition, now time.Time) ([]*DefinitionError, error) {
	var refused []*DefinitionError
	plain, err := e.plainKeys(ctx, definitions)
	if err != nil {
		return nil, fmt.Errorf("define: %w", err)
	}
	err = e.repo.Transact(ctx, func(tx Tx) error {
		refused = nil
		if err := tx.CloseCatalog(ctx); err != nil {
			return err
		}
		for _, def := range definitions {
			// Read anew for each: one may read another that was defined just before it.
			c, err := tx.Catalog(ctx)
			if err != nil {
				return err
			}
			c.plain = plain
			err = define(ctx, tx, c, def, now)
			if bad := (*DefinitionError)(nil); errors.As(err, &bad) {
				refused = append(refused, bad)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("define: %w", err)
	}
	return refused, nil
}

func define(ctx context.Context, tx Tx, c *Catalog, def Definition, now time.Time) error {
	p, err := c.propose(def, c.Reads, now)
	if err != nil {
		return err
	}
	if p.old == nil {
		if p.computation.CreatedSeq, err = tx.LastSeq(ctx); err != nil {
			return err
		}
	}
	if err := tx.SaveComputation(ctx, p.computation, p.version, p.connections, now); err != nil {
		return err
	}
	if p.old == nil {
		return nil
	}
	for _, conn := range p.old.dropped(p.connections) {
		if err := cleanUp(ctx, tx, conn, conn.Cleanup, now); err != nil {
			return err
		}
	}
	return nil
}

// proposal is what a definition would make of the catalog.
type proposal struct {
	computation *Computation
	version     *Version // nil: the one before stays
	connections []*Connection
	old         *Computation // nil: it is new
	warnings    query.Diagnostics
}

// propose checks a definition and works out what it would change. reads is as in
// query.CheckOptions. The error of a definition that is refused is a *DefinitionError.
func (c *Catalog) propose(def Definition, reads func(key string) []string, now time.Time) (*proposal, error) {
	if err := def.complete(); err != nil {
		return nil, err
	}
	compiled, diagnostics := query.Compile(def.Query, query.CheckOptions{
		Purpose: def.Kind, Level: query.Users, Key: def.Key, Reads: reads,
	})
	if compiled == nil {
		return nil, &DefinitionError{Key: def.Key, Message: "its query is refused", Diagnostics: diagnostics}
	}
	if compiled.Class != query.Scheduled {
		def.Schedule, def.Refresh = "", RefreshSlots // it has none, and is realtime anyway
	}
	connections, err := c.connect(def)
	if err != nil {
		return nil, err
	}
	old := c.byKey[def.Key]
	if err := c.free(def, old, connections); err != nil {
		return nil, err
	}
	comp := &Computation{
		Key: def.Key, Name: def.Name, Description: def.Description, Kind: def.Kind,
		IncludeAnonymous: def.IncludeAnonymous, IncludeHistorical: def.IncludeHistorical, BackfillDays: def.BackfillDays,
		Status: Preparing, CreatedAt: now,
	}
	if def.Disabled {
		comp.Status = Disabled
	}
	p := &proposal{computation: comp, connections: connections, warnings: diagnostics, old: old}
	p.version = &Version{Computation: comp, Number: 1, Definition: compiled, Schedule: def.Schedule, Refresh: def.Refresh}
	if old == nil {
		p.warnings = append(p.warnings, c.kept(compiled, comp, now)...)
		return p, nil
	}
	if err := old.admits(def); err != nil {
		return nil, err
	}
	comp.ID, comp.CreatedAt, comp.CreatedSeq = old.ID, old.CreatedAt, old.CreatedSeq
	turned := def.Disabled != (old.Status == Disabled)
	if !turned {
		comp.Status = old.Status
	}
	before := old.newest()
	p.version.Number = before.Number + 1
	if before.computes(p.version) && old.reaches(comp) && old.tells(connections) {
		switch {
		case !turned || def.Disabled:
			p.version = nil
		case old.Next != nil: // it has waited for this
			p.version.Number = before.Number
		}
	}
	if (p.version != nil || turned) && old.Next != nil && old.Next.BackfillID != 0 {
		return nil, &DefinitionError{Key: def.Key, Message: "it is locked while its backfill is under way; try again when that is complete"}
	}
	if p.version != nil {
		p.warnings = append(p.warnings, c.kept(compiled, comp, now)...)
	}
	return p, nil
}

// free tells whether a new computation may have the key, and new connections may begin.
func (c *Catalog) free(def Definition, old *Computation, connections []*Connection) error {
	if old == nil && !def.ReuseKey {
		const remedy = "choose another key, or add reuse_key: true to take this one"
		if c.retired[def.Key] {
			return &DefinitionError{Key: def.Key, Message: "the key was that of an audience or trait that is deleted; profiles and destinations may hold its last values, and cannot tell them from new ones: " + remedy}
		}
		if c.plain[def.Key] {
			return &DefinitionError{Key: def.Key, Message: "profiles have a trait of this name already, which calls set; the computation would hide it and share its name in destinations: " + remedy}
		}
	}
	for _, conn := range connections {
		if old != nil && slices.ContainsFunc(old.Connections, func(o *Connection) bool { return o.Destination.ID == conn.Destination.ID }) {
			continue
		}
		for _, r := range c.Retellings {
			if r.Kind != RetellResync && r.Connection.Computation.Key == def.Key && r.Connection.Destination.ID == conn.Destination.ID {
				return &DefinitionError{Key: def.Key, Message: fmt.Sprintf(
					"what %s was told under this key is being taken back; try again when that is complete (muster run list --kind cleanup)", conn.Destination.Name)}
			}
		}
	}
	return nil
}

// plainKeys are those keys of definitions of new computations that profiles have as plain
// traits. That is a scan of all traits, so it is done before the catalog is closed.
func (e *Engine) plainKeys(ctx context.Context, definitions []Definition) (plain map[string]bool, err error) {
	err = e.repo.Transact(ctx, func(tx Tx) error {
		if err := tx.ShareCatalog(ctx); err != nil {
			return err
		}
		c, err := e.current(ctx, tx)
		if err != nil {
			return err
		}
		plain, err = c.plainOf(ctx, tx, definitions)
		return err
	})
	return plain, err
}

// traitKeys is who knows the traits of profiles: a transaction, or a look.
type traitKeys interface {
	// PlainTraits says which of the keys some profile has a trait under.
	PlainTraits(ctx context.Context, keys []string) (map[string]bool, error)
}

func (c *Catalog) plainOf(ctx context.Context, t traitKeys, definitions []Definition) (map[string]bool, error) {
	var keys []string
	for _, def := range definitions {
		if def.complete() == nil && c.byKey[def.Key] == nil && !def.ReuseKey && !c.retired[def.Key] {
			keys = append(keys, def.Key)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	return t.PlainTraits(ctx, keys)
}

// dropped are the connections that are not among those that are to be.
func (comp *Computation) dropped(connections []*Connection) []*Connection {
	return slices.DeleteFunc(slices.Clone(comp.Connections), func(o *Connection) bool {
		return slices.ContainsFunc(connections, func(n *Connection) bool { return n.Destination.ID == o.Destination.ID })
	})
}

// admits tells whether a definition may be an edit of the computation.
func (comp *Computation) admits(def Definition) error {
	if comp.Kind != def.Kind {
		return &DefinitionError{Key: def.Key, Message: fmt.Sprintf("it is a %s already and cannot become a %s; delete it first, or choose another key", comp.Kind, def.Kind)}
	}
	if comp.IncludeAnonymous != def.IncludeAnonymous {
		return &DefinitionError{Key: def.Key, Message: "include_anonymous cannot be edited; delete the computation and define it anew under another key"}
	}
	return nil
}

// computes tells whether another version would be the same.
func (v *Version) computes(o *Version) bool {
	return v.Definition.Text() == o.Definition.Text() && v.Schedule == o.Schedule && v.Refresh == o.Refresh
}

// reaches tells whether both look at the same part of the history.
func (comp *Computation) reaches(o *Computation) bool {
	return comp.IncludeHistorical == o.IncludeHistorical && (!comp.IncludeHistorical || comp.BackfillDays == o.BackfillDays)
}

// tells tells whether everybody whom the connections tell hears the values already: a new
// one has to be told those of all profiles, for which the walk of a new version is the way.
func (comp *Computation) tells(connections []*Connection) bool {
	return !slices.ContainsFunc(connections, func(n *Connection) bool {
		return !slices.ContainsFunc(comp.Connections, func(o *Connection) bool {
			return o.Destination.ID == n.Destination.ID && o.Strategy == n.Strategy
		})
	})
}
