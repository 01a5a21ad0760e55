package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"muster/query"
)

// play is one scenario under way.
type play struct {
	*Scenario
	system System
	kinds  map[string]query.Purpose
	heard  memory
	fed    map[string]time.Time // files of calls: up to where they were taken
	result *Result
}

// run plays the scenario on a fresh system. The error is one of the surroundings; what
// goes wrong within the scenario is in the result.
func (s *Scenario) run(ctx context.Context, open Factory) (result Result, err error) {
	result.Scenario = s
	system, err := open(ctx, Setup{Scenario: s.ID, Identity: s.Identity, Start: s.Steps[0].At})
	if err != nil {
		return result, fmt.Errorf("make a system for scenario %s: %w", s.ID, err)
	}
	defer func() {
		if bad := system.Close(); err == nil && bad != nil {
			err = fmt.Errorf("close the system of scenario %s: %w", s.ID, bad)
		}
	}()
	p := &play{
		Scenario: s, system: system, kinds: s.kinds(),
		heard: memory{}, fed: map[string]time.Time{}, result: &result,
	}
	for i := range s.Steps {
		goOn, err := p.step(ctx, i)
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		if err != nil {
			st := s.Steps[i]
			result.Err = fmt.Errorf("%s:%d: step %d at %s: %w", s.File, st.Line, i+1, st.Offset, err)
		}
		if err != nil || !goOn {
			break
		}
	}
	return result, nil
}

// kinds are the kinds of all definitions of the scenario, by key.
func (s *Scenario) kinds() map[string]query.Purpose {
	kinds := map[string]query.Purpose{}
	for _, st := range s.Steps {
		for _, def := range slices.Concat(s.Definitions, st.Define) {
			kinds[def.Key] = def.Kind
		}
	}
	return kinds
}

// step plays a step and compares. It answers false if the rest cannot be played: a
// definition was refused that nothing expects to be.
func (p *play) step(ctx context.Context, i int) (goOn bool, err error) {
	st := p.Steps[i]
	r := StepResult{Step: st, Number: i + 1}
	if err := p.act(ctx, i, &r); err != nil {
		return false, err
	}
	r.Differences = compareRejected(st.Expect.Rejected, r.Refused)
	goOn = !slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.Got == isRefused })
	if goOn {
		more, err := p.compare(ctx, &r)
		if err != nil {
			return false, err
		}
		r.Differences = append(r.Differences, more...)
	}
	p.result.Steps = append(p.result.Steps, r)
	return goOn, nil
}

// act does what the step says, in the order of the language.
func (p *play) act(ctx context.Context, i int, r *StepResult) error {
	st := r.Step
	if i > 0 && p.Tick > 0 {
		if err := p.tick(ctx, r, p.Steps[i-1].At, st.At); err != nil {
			return err
		}
	}
	p.system.SetNow(st.At)
	definitions := st.Define
	if i == 0 {
		definitions = slices.Concat(p.Definitions, st.Define)
	}
	if len(definitions) > 0 {
		refused, err := p.system.Define(ctx, definitions)
		if err != nil {
			return fmt.Errorf("define: %w", err)
		}
		r.Refused = refused
	}
	for _, key := range st.Remove {
		if err := p.system.Remove(ctx, key); err != nil {
			return fmt.Errorf("remove %s: %w", key, err)
		}
	}
	for _, id := range st.DeleteProfile {
		if err := p.system.DeleteProfile(ctx, id); err != nil {
			return fmt.Errorf("delete the profile of %s: %w", refText(id), err)
		}
	}
	if err := p.ingest(ctx, i); err != nil {
		return err
	}
	if !st.Compute {
		return nil
	}
	return p.settle(ctx, r, st.Offset)
}

// tick settles at every multiple of the tick, on the clock of UTC, between two steps.
// What is sent then belongs to the step that follows.
func (p *play) tick(ctx context.Context, r *StepResult, from, to time.Time) error {
	for at := from.Truncate(p.Tick).Add(p.Tick); at.Before(to); at = at.Add(p.Tick) {
		p.system.SetNow(at)
		if err := p.settle(ctx, r, Offset(at.Sub(p.T0))); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) settle(ctx context.Context, r *StepResult, at Offset) error {
	if err := p.system.Settle(ctx); err != nil {
		return fmt.Errorf("settle at %s: %w", at, err)
	}
	sent, err := p.system.Sent(ctx)
	if err != nil {
		return fmt.Errorf("read what was sent at %s: %w", at, err)
	}
	for _, s := range sent {
		d := Delivery{Sent: s, At: at}
		r.Sent = append(r.Sent, d)
		p.heard.note(d)
	}
	return nil
}

func (p *play) ingest(ctx context.Context, i int) error {
	st := p.Steps[i]
	calls, err := st.calls(i + 1)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(calls, batchSize) {
		if err := p.system.Ingest(ctx, batch); err != nil {
			return fmt.Errorf("take the calls in: %w", err)
		}
	}
	if st.EventsFile == "" {
		return nil
	}
	file := beside(p.File, st.EventsFile)
	if err := (feed{file}).send(ctx, p.fed[file], st.At, p.system.Ingest); err != nil {
		return fmt.Errorf("events_file: %w", err)
	}
	p.fed[file] = st.At
	return nil
}

// compare reads the values that the step has expectations of, and compares.
func (p *play) compare(ctx context.Context, r *StepResult) ([]Difference, error) {
	e := &r.Step.Expect
	var all []Difference
	for _, key := range e.valueKeys() {
		var holders []Holder
		for h, err := range p.system.Values(ctx, key) {
			if err != nil {
				return nil, fmt.Errorf("read the values of %s: %w", key, err)
			}
			// Whoever has left an audience may still hold a false.
			if p.kinds[key] != query.Audience || h.Value.AsBool() {
				holders = append(holders, h)
			}
		}
		if want, ok := e.Members[key]; ok {
			all = append(all, compareMembers(key, want, holders, p.heard)...)
		}
		if want, ok := e.Traits[key]; ok {
			all = append(all, compareTraits(key, want, holders, p.heard)...)
		}
		all = append(all, e.compareNumbers(key, holders)...)
	}
	if e.Emitted != nil {
		all = append(all, compareEmitted(e.Emitted, r.Sent, p.kinds)...)
	}
	return append(all, compareCovered(e.Covered, r.Sent)...), nil
}
