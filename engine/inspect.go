package engine

import (
	"context"
	"time"

	"muster/identity"
	"muster/query"
)

// Looking is storage as those see it who look and change nothing.
type Looking interface {
	// Look runs f on what is stored at one moment. It takes no locks, and whoever
	// writes meanwhile neither waits nor is seen.
	Look(ctx context.Context, f func(Records) error) error
}

// Records are what is stored at one moment.
type Records interface {
	// Catalog reads the definitions, with the running backfill.
	Catalog(ctx context.Context) (*Catalog, error)
	// Owners finds the profiles of external ids; unknown ones are left out.
	Owners(ctx context.Context, ids []identity.ID) (map[identity.ID]identity.ProfileID, error)
	// Profiles reads profiles and their ids, in ascending order of (bucket, number).
	Profiles(ctx context.Context, ids []int64) ([]identity.Profile, error)
	// ProfilesAfter lists the next n profiles after a place.
	ProfilesAfter(ctx context.Context, after Place, n int) ([]int64, error)
	// PlainTraits says which of the keys some profile has a trait under.
	PlainTraits(ctx context.Context, keys []string) (map[string]bool, error)
	// CountProfiles is how many profiles there are.
	CountProfiles(ctx context.Context) (int64, error)
	// Load reads into the profiles what is wanted of each.
	Load(ctx context.Context, wants []Want) error
	// History reads events of profiles, in any order.
	History(ctx context.Context, h HistoryQuery, yield func(profileID int64, e *query.Event) error) error
	// Marks says how far the states of leaves have come.
	Marks(ctx context.Context, leaves []int64) (map[int64]Mark, error)
	// Instants says what instant the values of scheduled versions are as of.
	Instants(ctx context.Context, versions []*Version) (map[*Version]time.Time, error)
	// DueFor reads when versions must look at the profiles.
	DueFor(ctx context.Context, versions []*Version, profiles []int64, yield func(profileID, computationID int64, at time.Time)) error
	// ValuesAt reads what a profile held at an instant, by computation.
	ValuesAt(ctx context.Context, profileID int64, at time.Time) (map[int64]Held, error)
	// Undelivered lists what is queued for the profile and what became a dead letter that
	// waits for a decision.
	Undelivered(ctx context.Context, profileID int64) ([]Undelivered, error)
}

// Undelivered is a message that a destination does not have, or may not have.
type Undelivered struct {
	ConnectionID int64
	IDs          string // identity.Combination.Key
	DeadLetter   int64  // its number; 0: it waits in the queue
	Reason       string // of a dead letter
}

// Inspector says what would be and why things are as they are. It changes nothing and
// keeps nobody waiting.
type Inspector struct {
	kept   Looking
	latest Latest
	chunk  int
}

// NewInspector returns an inspector of what is kept. latest is as for BeginBackfill.
func NewInspector(kept Looking, latest Latest) *Inspector {
	return &Inspector{kept: kept, latest: latest, chunk: chunkOfInspected}
}

// chunkOfInspected is how many profiles a dry run holds in memory at once: few, so that
// it can stop soon after its time is up.
const chunkOfInspected = 1000

// needsOf adds what has to be known to evaluate versions with the reference evaluator.
func (p *plan) needsOf(c *Catalog, versions ...*Version) {
	for _, v := range versions {
		for _, l := range v.Leaves {
			for _, name := range l.Events {
				p.names = appendNew(p.names, name)
			}
		}
		for _, key := range v.Definition.Traits {
			p.traits = appendNew(p.traits, key)
			if read := c.byKey[key]; read != nil {
				p.computations = appendNew(p.computations, read)
			}
		}
	}
}

// histories is who reads events: a transaction, or a look.
type histories interface {
	History(ctx context.Context, h HistoryQuery, yield func(profileID int64, e *query.Event) error) error
}

// readHistory reads the events of the names of all profiles.
func readHistory(ctx context.Context, r histories, profiles []*Profile, names []string) error {
	if len(names) == 0 || len(profiles) == 0 {
		return nil
	}
	ids := make([]int64, 0, len(profiles))
	byID := make(map[int64]*Profile, len(profiles))
	for _, p := range profiles {
		ids = append(ids, p.ID)
		byID[p.ID] = p
	}
	return r.History(ctx, HistoryQuery{Profiles: ids, Names: names}, func(id int64, e *query.Event) error {
		byID[id].history = append(byID[id].history, e)
		return nil
	})
}

// stands reads how far what the versions say has come.
func stands(ctx context.Context, r Records, versions []*Version) (map[*Version]time.Time, map[int64]Mark, error) {
	scheduled, windowed := clocked(versions)
	instants, err := r.Instants(ctx, scheduled)
	if err != nil {
		return nil, nil, err
	}
	marks, err := r.Marks(ctx, windowed)
	return instants, marks, err
}

// clocked are those of the versions, and of their leaves, that slots move.
func clocked(versions []*Version) (scheduled []*Version, windowed []int64) {
	for _, v := range versions {
		if v.Scheduled() {
			scheduled = append(scheduled, v)
		}
		for _, l := range v.Leaves {
			if l.Moves() {
				windowed = appendNew(windowed, l.ID)
			}
		}
	}
	return scheduled, windowed
}
