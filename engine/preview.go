package engine

import (
	"context"
	"fmt"
	"time"

	"muster/query"
)

// Preview is what a definition would say, without being saved.
type Preview struct {
	Definition *query.Definition // nil: it was refused
	Warnings   query.Diagnostics
	Looked
	Effect
}

// Preview evaluates a definition on the profiles with the reference evaluator, as it would
// be after its backfill now. If there is a computation with its key, Before and the samples
// compare with that. A *DefinitionError says that the definition is refused.
func (i *Inspector) Preview(ctx context.Context, def Definition, o DryRun, now time.Time) (*Preview, error) {
	var p *Preview
	err := i.kept.Look(ctx, func(r Records) error {
		c, err := r.Catalog(ctx)
		if err != nil {
			return err
		}
		proposed, err := c.propose(def, c.Reads, now)
		if err != nil {
			return err
		}
		p = &Preview{Definition: proposed.definition(), Warnings: proposed.warnings}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("preview: %w", err)
	}
	run := &dryRun{inspector: i, options: o, now: now, changes: []Definition{def}}
	if err := run.do(ctx); err != nil {
		return nil, fmt.Errorf("preview: %w", err)
	}
	p.Looked = run.looked
	for _, t := range run.targets {
		if t.computation.Key == run.keys[0] {
			p.Effect = t.effect
		}
	}
	return p, nil
}

// definition is what would serve.
func (p *proposal) definition() *query.Definition {
	if p.version != nil {
		return p.version.Definition
	}
	return p.old.newest().Definition
}
