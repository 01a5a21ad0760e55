package main

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"muster/engine"
	"muster/identity"
	"muster/query"
)

// meter is the engine's storage with a stopwatch on every statement: it tells what part
// of a run the database answered in, and for which question.
type meter struct {
	engine.Repository

	mu    sync.Mutex
	spent map[string]time.Duration
	tries int // transactions begun
	done  int // transactions that came to their end
}

// Names of what is not a statement.
const (
	phaseCommit = "begin and commit"
	phaseEngine = "engine (Go)"
)

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spent, m.tries, m.done = make(map[string]time.Duration), 0, 0
}

func (m *meter) add(phase string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spent == nil {
		m.spent = make(map[string]time.Duration)
	}
	m.spent[phase] += d
}

// phases divides what was spent by n things.
func (m *meter) phases(name, per string, n int) Phases {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := Phases{Case: name, Per: per}
	var all time.Duration
	for _, d := range m.spent {
		all += d
	}
	for phase, d := range m.spent {
		p.Spent = append(p.Spent, Phase{Name: phase, Micros: float64(d.Nanoseconds()) / 1e3 / float64(n), Share: float64(d) / float64(all)})
	}
	slices.SortFunc(p.Spent, func(a, b Phase) int { return cmp.Compare(b.Micros, a.Micros) })
	return p
}

// again is how many transactions were begun anew.
func (m *meter) again() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tries - m.done
}

// Transact implements engine.Repository.
func (m *meter) Transact(ctx context.Context, f func(engine.Tx) error) error {
	began := time.Now()
	var inside time.Duration
	err := m.Repository.Transact(ctx, func(tx engine.Tx) error {
		m.mu.Lock()
		m.tries++
		m.mu.Unlock()
		begun := time.Now()
		metered := &meteredTx{Tx: tx, meter: m}
		err := f(metered)
		took := time.Since(begun)
		inside += took
		m.add(phaseEngine, took-metered.waited)
		return err
	})
	m.add(phaseCommit, time.Since(began)-inside)
	m.mu.Lock()
	m.done++
	m.mu.Unlock()
	return err
}

// Prepare implements engine.Repository.
func (m *meter) Prepare(ctx context.Context, names []string, instants []time.Time) error {
	began := time.Now()
	defer func() { m.add("prepare", time.Since(began)) }()
	return m.Repository.Prepare(ctx, names, instants)
}

type meteredTx struct {
	engine.Tx
	meter  *meter
	waited time.Duration
}

// watch is called at the beginning of a statement; what it returns, at its end.
func (t *meteredTx) watch(phase string) func() {
	began := time.Now()
	return func() {
		d := time.Since(began)
		t.waited += d
		t.meter.add(phase, d)
	}
}

func (t *meteredTx) ShareGate(ctx context.Context) error {
	defer t.watch("gate")()
	return t.Tx.ShareGate(ctx)
}

func (t *meteredTx) CloseGate(ctx context.Context) error {
	defer t.watch("gate")()
	return t.Tx.CloseGate(ctx)
}

func (t *meteredTx) CatalogVersion(ctx context.Context) (int64, error) {
	defer t.watch("catalog")()
	return t.Tx.CatalogVersion(ctx)
}

func (t *meteredTx) Catalog(ctx context.Context) (*engine.Catalog, error) {
	defer t.watch("catalog")()
	return t.Tx.Catalog(ctx)
}

func (t *meteredTx) ClaimMessages(ctx context.Context, ids []string, now time.Time) ([]bool, error) {
	defer t.watch("deduplicate")()
	return t.Tx.ClaimMessages(ctx, ids, now)
}

func (t *meteredTx) Owners(ctx context.Context, ids []identity.ID) (map[identity.ID]identity.ProfileID, error) {
	defer t.watch("find owners of ids")()
	return t.Tx.Owners(ctx, ids)
}

func (t *meteredTx) LockProfiles(ctx context.Context, ids []int64) ([]identity.Profile, error) {
	defer t.watch("lock profiles, read ids")()
	return t.Tx.LockProfiles(ctx, ids)
}

func (t *meteredTx) NewProfileIDs(ctx context.Context, n int) ([]int64, error) {
	defer t.watch("draw numbers")()
	return t.Tx.NewProfileIDs(ctx, n)
}

func (t *meteredTx) NewSeqs(ctx context.Context, n int) ([]int64, error) {
	defer t.watch("draw numbers")()
	return t.Tx.NewSeqs(ctx, n)
}

func (t *meteredTx) SaveIdentity(ctx context.Context, d identity.Diff, v []engine.Violation, o map[identity.ID]string, now time.Time) error {
	defer t.watch("save profiles and ids")()
	return t.Tx.SaveIdentity(ctx, d, v, o, now)
}

func (t *meteredTx) MoveProfiles(ctx context.Context, merges []engine.MergedBy, now time.Time) error {
	defer t.watch("move merged profiles")()
	return t.Tx.MoveProfiles(ctx, merges, now)
}

func (t *meteredTx) DropStates(ctx context.Context, ids []int64) error {
	defer t.watch("move merged profiles")()
	return t.Tx.DropStates(ctx, ids)
}

func (t *meteredTx) SetTraits(ctx context.Context, traits []engine.TraitWrite) error {
	defer t.watch("save traits")()
	return t.Tx.SetTraits(ctx, traits)
}

func (t *meteredTx) Load(ctx context.Context, wants []engine.Want) error {
	defer t.watch("load states, values, ledger")()
	return t.Tx.Load(ctx, wants)
}

func (t *meteredTx) Save(ctx context.Context, profiles []*engine.Profile) error {
	defer t.watch("save states, values, ledger")()
	return t.Tx.Save(ctx, profiles)
}

func (t *meteredTx) AppendEvents(ctx context.Context, events []engine.StoredEvent) error {
	defer t.watch("append events")()
	return t.Tx.AppendEvents(ctx, events)
}

func (t *meteredTx) Enqueue(ctx context.Context, profiles []*engine.Profile, now time.Time) error {
	defer t.watch("queue messages")()
	return t.Tx.Enqueue(ctx, profiles, now)
}

func (t *meteredTx) ScanEvents(ctx context.Context, s engine.EventScan, yield func(int64, *query.Event) error) error {
	phase := "read and fold arrivals"
	if s.Range != nil {
		phase = "read and fold window edges"
	}
	defer t.watch(phase)()
	return t.Tx.ScanEvents(ctx, s, yield)
}

func (t *meteredTx) History(ctx context.Context, h engine.HistoryQuery, yield func(int64, *query.Event) error) error {
	defer t.watch("read and fold histories")()
	return t.Tx.History(ctx, h, yield)
}

func (t *meteredTx) Due(ctx context.Context, v []*engine.Version, by time.Time, yield func(int64, int64)) error {
	defer t.watch("find what is due")()
	return t.Tx.Due(ctx, v, by, yield)
}

func (t *meteredTx) NextProfiles(ctx context.Context, b *engine.Backfill, n int) ([]identity.Profile, error) {
	defer t.watch("lock profiles, read ids")()
	return t.Tx.NextProfiles(ctx, b, n)
}

func (t *meteredTx) LockBackfill(ctx context.Context) (*engine.Backfill, error) {
	defer t.watch("progress")()
	return t.Tx.LockBackfill(ctx)
}

func (t *meteredTx) SetBackfill(ctx context.Context, b *engine.Backfill, tallies []*engine.Tally) error {
	defer t.watch("progress")()
	return t.Tx.SetBackfill(ctx, b, tallies)
}

func (t *meteredTx) LockMarks(ctx context.Context, leaves []int64) (map[int64]engine.Mark, error) {
	defer t.watch("progress")()
	return t.Tx.LockMarks(ctx, leaves)
}

func (t *meteredTx) LastSlot(ctx context.Context, v []*engine.Version) (time.Time, error) {
	defer t.watch("progress")()
	return t.Tx.LastSlot(ctx, v)
}

func (t *meteredTx) SetMarks(ctx context.Context, marks map[int64]engine.Mark, v []*engine.Version, asOf time.Time) error {
	defer t.watch("progress")()
	return t.Tx.SetMarks(ctx, marks, v, asOf)
}

func (t *meteredTx) RecordSlot(ctx context.Context, v []*engine.Version, slot, now time.Time, r engine.SlotResult) error {
	defer t.watch("progress")()
	return t.Tx.RecordSlot(ctx, v, slot, now, r)
}
