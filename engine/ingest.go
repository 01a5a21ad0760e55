package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/event"
	"muster/identity"
	"muster/query"
)

// Received is a call and where it came from.
type Received struct {
	Call     *event.Call
	SourceID int64
	Source   string // its name, as definitions see it
	// Routes are the destinations that the call is forwarded to, each one once.
	Routes []Route
}

// Receipt says what became of a call.
type Receipt string

// The receipts.
const (
	Accepted   Receipt = "accepted"
	Duplicate  Receipt = "duplicate"  // its message id was seen before
	Unresolved Receipt = "unresolved" // stored nowhere: it has no id that may identify a profile
	Skipped    Receipt = "skipped"    // stored nowhere: it says, or is so large, that it must not touch profiles
)

// Ingest takes calls in: when it returns without an error, one transaction has stored
// them, resolved their profiles, brought every realtime computation that they touch up
// to date and queued the messages that follow. With an error nothing has happened.
// The calls of a profile are taken in the order given. now is the time of the changes.
func (e *Engine) Ingest(ctx context.Context, batch []Received, now time.Time) ([]Receipt, error) {
	evidence := make([]identity.Evidence, len(batch))
	var names []string
	instants := []time.Time{now}
	known := make(map[string]bool)
	for i := range batch {
		call := batch[i].Call
		evidence[i] = e.rules.Extract(call)
		if name := call.EventName(); name != "" {
			instants = append(instants, call.Timestamp)
			if !known[name] {
				known[name] = true
				names = append(names, name)
			}
		}
	}
	if err := e.repo.Prepare(ctx, names, instants); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	var receipts []Receipt
	err := e.repo.Transact(ctx, func(tx Tx) error {
		in := &ingestion{engine: e, tx: tx, now: now, batch: batch, evidence: evidence}
		if err := in.run(ctx); err != nil {
			return err
		}
		receipts = in.receipts
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ingest %d calls: %w", len(batch), err)
	}
	return receipts, nil
}

// ingestion is the transaction of one batch.
type ingestion struct {
	engine   *Engine
	tx       Tx
	now      time.Time
	batch    []Received
	evidence []identity.Evidence
	receipts []Receipt

	catalog  *Catalog
	running  *Backfill
	calls    []*arrival
	works    map[int64]*work // by profile
	order    []*work         // in the order in which they are locked and their rows lie
	stored   []StoredEvent
	accounts []AccountWrite
	traits   map[traitKey]TraitWrite
	traitSeq []traitKey
}

// arrival is a new call of the batch, with its place in the order of arrival.
type arrival struct {
	Received
	place      int // in the batch
	evidence   identity.Evidence
	resolution identity.Resolution
	seq        int64
}

// work is what the batch does to one profile.
type work struct {
	*Profile
	joined bool // has an id that it did not have before
	losers []*Profile
	// suppressed: what a call of this profile says is forwarded to nobody.
	suppressed bool
	start      []*Computation
	met        []*Connection // that may have told several of its ids before these came together
	// suspects change only if the folds change the value that follows from the states.
	suspects []*Computation
	folds    []foldOf
	folded   bool
	// rebuild holds the states of leaves that a backfill is building and that are folded
	// anew because of a merge; see ingestion.rebuilding.
	rebuild map[*Leaf]*State
}

type foldOf struct {
	leaf  *Leaf
	event *query.Event
}

type traitKey struct {
	profile int64
	key     string
}

func (in *ingestion) run(ctx context.Context) (err error) {
	if err := in.tx.ShareGate(ctx); err != nil {
		return err
	}
	if in.catalog, err = in.engine.current(ctx, in.tx); err != nil {
		return err
	}
	if err := in.deduplicate(ctx); err != nil {
		return err
	}
	if len(in.calls) == 0 {
		return in.forward(ctx)
	}
	if err := in.resolve(ctx); err != nil {
		return err
	}
	if in.catalog.Backfill != nil { // its progress counts as of the locks
		if in.running, err = in.tx.Running(ctx); err != nil {
			return err
		}
	}
	if err := in.arrive(ctx); err != nil {
		return err
	}
	if err := in.load(ctx); err != nil {
		return err
	}
	in.decide()
	return in.write(ctx)
}

// deduplicate keeps the calls whose message ids are new.
func (in *ingestion) deduplicate(ctx context.Context) error {
	in.receipts = make([]Receipt, len(in.batch))
	ids := make([]string, len(in.batch))
	for i := range in.batch {
		ids[i] = in.batch[i].Call.MessageID
	}
	fresh, err := in.tx.ClaimMessages(ctx, ids, in.now)
	if err != nil {
		return err
	}
	for i, ok := range fresh {
		if !ok {
			in.receipts[i] = Duplicate
			continue
		}
		if in.batch[i].Call.ProfileSkip != "" {
			in.receipts[i] = Skipped
			continue
		}
		in.receipts[i] = Accepted
		in.calls = append(in.calls, &arrival{Received: in.batch[i], place: i, evidence: in.evidence[i]})
	}
	return nil
}

// arrive gives every call its place in the order of arrival and sorts what it brings
// by profile: events, traits, and the leaves and computations that they concern.
func (in *ingestion) arrive(ctx context.Context) error {
	seqs, err := in.tx.NewSeqs(ctx, len(in.calls))
	if err != nil {
		return err
	}
	in.traits = make(map[traitKey]TraitWrite)
	for i, a := range in.calls {
		if a.resolution.Unresolved {
			continue
		}
		a.seq = seqs[i]
		w := in.works[int64(a.resolution.Profile)]
		switch a.Call.Type {
		case event.Track, event.Page, event.Screen:
			in.takeEvent(w, a)
		case event.Identify:
			in.takeTraits(w, a)
		case event.Group:
			in.takeAccount(w, a)
		case event.Alias:
		}
	}
	return nil
}

func (in *ingestion) takeEvent(w *work, a *arrival) {
	e := &query.Event{
		Name: a.Call.EventName(), Time: a.Call.Timestamp, Arrival: a.seq, ReceivedAt: a.Call.ReceivedAt,
		Source: a.Source, Properties: a.Call.DefinitionProperties(), Context: a.Call.Context,
	}
	in.stored = append(in.stored, StoredEvent{ProfileID: w.ID, MessageID: a.Call.MessageID, SourceID: a.SourceID, Event: e})
	use := in.catalog.events[e.Name]
	if use == nil {
		return
	}
	for _, leaf := range use.fold {
		if leaf.counts(e) {
			w.folds = append(w.folds, foldOf{leaf, e})
			for _, c := range in.catalog.leaves[leaf.ID].readers {
				w.suspects = appendNew(w.suspects, c)
			}
		}
	}
	for _, leaf := range use.replay {
		w.markStale(leaf)
		in.concern(w, in.catalog.leaves[leaf.ID].readers)
	}
	for _, p := range use.prompt {
		if p.leaf.counts(e) {
			in.concern(w, []*Computation{p.reader})
		}
	}
	w.history = append(w.history, e)
}

func (in *ingestion) takeAccount(w *work, a *arrival) {
	account := AccountWrite{
		GroupID: a.Call.GroupID, ProfileID: w.ID, At: a.Call.Timestamp, ReceivedAt: a.Call.ReceivedAt, Arrival: a.seq,
		Traits: make(map[string]jsontext.Value),
	}
	for key, raw := range event.Members(a.Call.Traits) {
		account.Traits[key] = nil
		if string(raw) != "null" {
			account.Traits[key] = raw
		}
	}
	in.accounts = append(in.accounts, account)
}

func (in *ingestion) takeTraits(w *work, a *arrival) {
	for key, raw := range event.Members(a.Call.Traits) {
		k := traitKey{w.ID, key}
		t := TraitWrite{ProfileID: w.ID, Key: key, At: a.Call.Timestamp, Arrival: a.seq}
		if string(raw) != "null" {
			t.Value = raw
		}
		before, twice := in.traits[k]
		if twice && t.At.Before(before.At) {
			continue
		}
		if !twice {
			in.traitSeq = append(in.traitSeq, k)
		}
		in.traits[k] = t
		if use := in.catalog.traits[key]; use != nil {
			in.concern(w, use.readers)
			for _, leaf := range use.replay {
				w.markStale(leaf)
			}
		}
	}
}

func (in *ingestion) concern(w *work, computations []*Computation) {
	for _, c := range computations {
		w.start = appendNew(w.start, c)
	}
}

// decide folds the events and settles every profile.
func (in *ingestion) decide() {
	d := in.decision()
	for _, w := range in.order {
		w.fold(in.catalog)
		d.cause = CauseEvent
		if w.merged {
			d.cause = CauseMerge
		}
		d.settle(w.Profile, w.start)
		if w.joined || w.merged {
			in.tellAll(d, w)
		}
	}
}

func (in *ingestion) decision() *decision {
	return &decision{catalog: in.catalog, running: in.running, now: in.now, prompts: true}
}

// fold brings the states of the leaves up to date, once.
func (w *work) fold(c *Catalog) {
	if w.folded {
		return
	}
	w.folded = true
	for _, loser := range w.losers {
		w.takeStates(c, loser)
	}
	for leaf, state := range w.rebuild {
		target := w.State(leaf)
		target.State, target.Changed = *state, true
	}
	for _, f := range w.folds {
		s := w.State(f.leaf)
		s.Add(f.leaf.Leaf, f.event)
		s.Changed = true
	}
}

// tellAll lets new ids hear the present values. After a merge those of scheduled
// computations wait for their slot, which decides them for the profile as it is now.
func (in *ingestion) tellAll(d *decision, w *work) {
	reason := ReasonNewID
	if w.merged {
		reason = ReasonMerge
	}
	for _, c := range in.catalog.Computations {
		v := in.catalog.versionFor(c, w.Profile, in.running)
		if v == nil {
			continue
		}
		for _, conn := range c.Connections {
			if conn.aliases() {
				w.met = append(w.met, conn)
			}
		}
		if w.merged && !v.Prompt() {
			continue
		}
		for _, conn := range c.Connections {
			d.tell(w.Profile, conn, reason)
		}
	}
}

// write stores all of it. The queue comes last: its lock is held to the commit.
func (in *ingestion) write(ctx context.Context) error {
	profiles := make([]*Profile, 0, len(in.order))
	var gone []int64
	for _, w := range in.order {
		profiles = append(profiles, w.Profile)
		for _, loser := range w.losers {
			gone = append(gone, loser.ID)
		}
	}
	if len(gone) > 0 {
		if err := in.tx.DropStates(ctx, gone); err != nil {
			return err
		}
	}
	if err := in.tx.AppendEvents(ctx, in.stored); err != nil {
		return err
	}
	if len(in.accounts) > 0 {
		if err := in.tx.SaveAccounts(ctx, in.accounts); err != nil {
			return err
		}
	}
	if err := in.tx.Save(ctx, in.catalog, profiles); err != nil {
		return err
	}
	if err := in.forward(ctx); err != nil {
		return err
	}
	var aliases []Alias
	for _, w := range in.order {
		aliases = append(aliases, w.aliases(w.met)...)
	}
	if len(aliases) > 0 {
		if err := in.tx.Alias(ctx, aliases, in.now); err != nil {
			return err
		}
	}
	return in.tx.Enqueue(ctx, profiles, in.now)
}

// forward queues the calls that go on to destinations, before what follows from them.
func (in *ingestion) forward(ctx context.Context) error {
	if list := in.forwarded(); len(list) > 0 {
		return in.tx.Forward(ctx, list, in.now)
	}
	return nil
}
