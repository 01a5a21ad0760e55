package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"muster/engine"
	"muster/identity"
	"muster/query"
	"muster/scheduler"
	"muster/store"
)

// inspector looks at a store.
func inspector(s *store.Store) *engine.Inspector { return engine.NewInspector(s, latest) }

// Explained is engine.Explained with what the schedule says.
type Explained struct {
	*engine.Explained
	// Next is when the value can change without a new event: of a scheduled computation
	// the slot that will see it; zero: never.
	Next time.Time
}

// Explain says why the profile that has an external id has its value of a computation, see
// engine.Inspector.Explain. at is an instant that lies back; zero: now.
func Explain(ctx context.Context, s *store.Store, key string, id identity.ID, at, now time.Time) (*Explained, error) {
	if at.After(now) {
		return nil, fmt.Errorf("explain %s: %s has not come yet", key, at.Format(time.RFC3339))
	}
	found, err := inspector(s).Explain(ctx, key, id, at, now)
	if err != nil {
		return nil, err
	}
	x := &Explained{Explained: found}
	if x.Tree == nil || x.Past {
		return x, nil
	}
	x.Next = x.Tree.NextChange
	if !x.Version.Scheduled() || x.Next.IsZero() && !x.Waiting {
		return x, nil
	}
	schedule, err := scheduler.Parse(x.Version.Schedule)
	if err != nil {
		return nil, err
	}
	if x.Waiting {
		x.Next = x.AsOf.Add(time.Nanosecond)
	}
	x.Next = schedule.Next(x.Next.Add(-time.Nanosecond))
	return x, nil
}

// Preview says what a definition would be, without saving it, see engine.Inspector.Preview.
// When the time given is up it ends with what it has; 0: as long as it takes.
func Preview(ctx context.Context, s *store.Store, def engine.Definition, o engine.DryRun, within time.Duration, now time.Time) (*engine.Preview, error) {
	ctx, cancel := bounded(ctx, within)
	defer cancel()
	if err := normalize(&def); err != nil {
		return nil, err
	}
	return inspector(s).Preview(ctx, def, o, now)
}

// Plan compares what is desired with what is, see engine.Inspector.Plan. When the time
// given is up, the effects are counted over the profiles that were looked at by then.
func Plan(ctx context.Context, s *store.Store, desired engine.Desired, count *engine.DryRun, within time.Duration, now time.Time) (*engine.Plan, error) {
	ctx, cancel := bounded(ctx, within)
	defer cancel()
	for i := range desired.Definitions {
		if err := normalize(&desired.Definitions[i]); err != nil {
			return nil, err
		}
	}
	return inspector(s).Plan(ctx, desired, count, now)
}

// Definitions are what is computed, as Plan takes it.
func Definitions(ctx context.Context, s *store.Store) ([]engine.Definition, error) {
	return inspector(s).Definitions(ctx)
}

// ErrRefused says that a plan holds definitions that were refused.
var ErrRefused = errors.New("definitions were refused; nothing was changed")

// Apply makes of a plan what is: it creates and edits, then removes. What has to be
// computed is so by whoever runs (App.Run), who also tells of what is removed what its
// definition says. A second time it changes nothing. desired is what the plan was made of.
func Apply(ctx context.Context, s *store.Store, desired engine.Desired, plan *engine.Plan, now time.Time) error {
	if len(plan.Refused()) > 0 {
		return ErrRefused
	}
	if len(plan.Destinations) > 0 {
		if err := s.EnsureDestinations(ctx, desired.Destinations, now); err != nil {
			return err
		}
	}
	var changed []engine.Definition
	for i, step := range plan.Steps {
		if step.Action == engine.ActionCreate || step.Action == engine.ActionEdit {
			changed = append(changed, desired.Definitions[i])
		}
	}
	e, err := engineOn(s)
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		refused, err := e.Define(ctx, changed, now)
		if err != nil {
			return err
		}
		if len(refused) > 0 {
			var list []error
			for _, r := range refused {
				list = append(list, r)
			}
			return fmt.Errorf("something has changed since the plan was made: %w", errors.Join(list...))
		}
	}
	for _, step := range plan.Steps {
		if step.Action == engine.ActionRemove {
			if _, err := e.Remove(ctx, step.Key, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove deletes a computation, see engine.Engine.RemoveWith; false: there is none. What
// destinations are told of that, by this cleanup or if it is empty by what its connections
// say, is queued by whoever runs (App.Run).
func Remove(ctx context.Context, s *store.Store, key string, cleanup engine.Cleanup, now time.Time) (bool, error) {
	e, err := engineOn(s)
	if err != nil {
		return false, err
	}
	return e.RemoveWith(ctx, key, cleanup, now)
}

// Readers are the keys of the computations that read one.
func Readers(ctx context.Context, s *store.Store, key string) ([]string, error) {
	e, err := engineOn(s)
	if err != nil {
		return nil, err
	}
	c, err := e.Catalog(ctx)
	if err != nil {
		return nil, err
	}
	return c.Readers(key), nil
}

// RunNow brings a scheduled computation, and all of its schedule, up to the present, see
// engine.Engine.RunSlot. The slots that follow come as always.
func RunNow(ctx context.Context, s *store.Store, kind query.Purpose, key string, now time.Time) (engine.SlotResult, error) {
	e, err := engineOn(s)
	if err != nil {
		return engine.SlotResult{}, err
	}
	c, err := e.Catalog(ctx)
	if err != nil {
		return engine.SlotResult{}, err
	}
	comp := c.ByKey(key)
	switch {
	case comp == nil || comp.Kind != kind:
		return engine.SlotResult{}, fmt.Errorf("%s: %w", key, engine.ErrUnknownKey)
	case comp.Status == engine.Disabled:
		return engine.SlotResult{}, fmt.Errorf("%s is disabled: muster %s enable %s has it computed again", key, kind, key)
	case comp.Current == nil || comp.Current.Rests():
		return engine.SlotResult{}, fmt.Errorf("%s waits for its backfill", key)
	case !comp.Current.Scheduled():
		return engine.SlotResult{}, fmt.Errorf("%s is realtime: it is up to date with every call", key)
	}
	return e.RunSlot(ctx, comp.Current.Schedule, now.UTC().Truncate(time.Second), now)
}

// engineOn is an engine for work that resolves no calls.
func engineOn(s *store.Store) (*engine.Engine, error) {
	rules, err := identity.Settings{}.Compile() // nobody asks them
	if err != nil {
		return nil, err
	}
	return engine.New(s, rules), nil
}

// normalize writes a schedule as it is stored.
func normalize(def *engine.Definition) error {
	if def.Schedule == "" {
		return nil
	}
	s, err := scheduler.Parse(def.Schedule)
	if err != nil {
		return fmt.Errorf("%s: %w", def.Key, err)
	}
	def.Schedule = s.String()
	return nil
}

func bounded(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	if within <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, within)
}
