package mixpaneltest

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// devicePrefix marks the distinct id of a device that no user is linked to, in a
// simplified project.
const devicePrefix = "$device:"

// identities are the joined identities of one project. Records are applied under
// its read lock and identity events under its write lock, so that a profile cannot
// be written to an id that is being merged away.
type identities struct {
	mu         sync.RWMutex
	mode       IDMerge
	clusterIDs int // original: how many ids a cluster may have

	aliases  map[string]alias     // legacy
	clusters map[string]*cluster  // original, by every member
	users    map[string]string    // simplified: device -> user
	settling map[string]time.Time // ids of a fresh alias, until when
}

// alias points from one id to another; the first one made for an id wins.
type alias struct {
	to   string
	from time.Time // when it begins to work
}

// cluster is a set of joined ids under the distinct id that Mixpanel shows.
type cluster struct {
	canonical string
	ids       []string
}

func (i *identities) reset() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.aliases, i.clusters, i.users, i.settling = map[string]alias{}, map[string]*cluster{}, map[string]string{}, map[string]time.Time{}
}

// resolve returns the distinct id under which a record for id is kept at now.
// Simplified projects keep profiles under the id that was sent.
func (i *identities) resolve(id string, now time.Time) string {
	switch i.mode {
	case Legacy:
		for range len(i.aliases) { // a chain is never longer, a ring never ends
			a, ok := i.aliases[id]
			if !ok || now.Before(a.from) {
				break
			}
			id = a.to
		}
	case Original:
		if c, ok := i.clusters[id]; ok {
			return c.canonical
		}
	case Simplified:
	}
	return id
}

// distinct returns the distinct id that a simplified project shows for an event of
// this user and device at present; older events follow a later link.
func (i *identities) distinct(user, device string) string {
	if user != "" {
		return user
	}
	if linked, ok := i.users[device]; ok {
		return linked
	}
	return devicePrefix + device
}

// owner returns the distinct id that shows an event at present. A legacy project
// decided when the event arrived, the others follow later joins.
func (i *identities) owner(e *stored) string {
	switch {
	case i.mode == Original:
		return i.resolve(e.distinctID, time.Time{})
	case i.mode == Simplified && (e.user != "" || e.device != ""):
		return i.distinct(e.user, e.device)
	}
	return e.distinctID
}

// linked tells whether the device has a user already.
func (i *identities) linked(device string) bool {
	_, ok := i.users[device]
	return ok
}

// link joins a device to a user; the first link of a device wins.
func (i *identities) link(device, user string) bool {
	if i.linked(device) {
		return false
	}
	i.users[device] = user
	return true
}

// effect is what an identity event did.
type effect struct {
	merged     bool
	winner, id string // the profile of id now belongs to winner; "" when no profile moves
}

// createAlias makes id known as alias too, from the settle time on. An alias that changes
// nothing, such as one that is sent again, leaves nothing to settle.
func (i *identities) createAlias(id, as string, now time.Time, settle time.Duration) effect {
	if i.mode == Original {
		if i.clusters[as] != nil {
			return effect{}
		}
		e := i.merge(id, as)
		if e.merged {
			i.settle(now, settle, id, as)
		}
		return e
	}
	if _, taken := i.aliases[as]; taken || i.resolve(id, now) == as {
		return effect{}
	}
	from := now
	if settle > 0 {
		from = now.Add(settle)
	}
	i.aliases[as] = alias{to: id, from: from}
	i.settle(now, settle, id, as)
	return effect{merged: true}
}

// identify joins an anonymous id to a user's. Mixpanel ignores it without a word if
// the anonymous id is no UUIDv4 or belongs to a cluster already.
func (i *identities) identify(user, anonymous string) effect {
	u, err := uuid.Parse(anonymous)
	if err != nil || u.Version() != 4 || len(anonymous) != 36 || i.clusters[anonymous] != nil {
		return effect{}
	}
	return i.merge(user, anonymous)
}

// belongs tells whether an id belongs to others already, in an original project: no alias and
// no $identify joins it with anybody any more.
func (i *identities) belongs(id string) bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.mode == Original && i.clusters[id] != nil
}

// merge joins the clusters of two ids; that of the first gives its name.
func (i *identities) merge(a, b string) effect {
	of := func(id string) *cluster {
		if c := i.clusters[id]; c != nil {
			return c
		}
		return &cluster{canonical: id, ids: []string{id}}
	}
	into, from := of(a), of(b)
	if into == from || a == b || len(into.ids)+len(from.ids) > i.clusterIDs {
		return effect{}
	}
	into.ids = append(into.ids, from.ids...)
	for _, id := range into.ids {
		i.clusters[id] = into
	}
	return effect{merged: true, winner: into.canonical, id: from.canonical}
}

func (i *identities) settle(now time.Time, settle time.Duration, ids ...string) {
	for id, until := range i.settling {
		if !now.Before(until) {
			delete(i.settling, id)
		}
	}
	if settle <= 0 {
		return
	}
	for _, id := range ids {
		i.settling[id] = now.Add(settle)
	}
}

// unsettled tells whether an alias of id is younger than its settle time.
func (i *identities) unsettled(id string, now time.Time) bool {
	if len(i.settling) == 0 {
		return false
	}
	until, ok := i.settling[id]
	return ok && now.Before(until)
}

// simplify reads the ids of an event in a simplified project. An event that has
// neither names a device or a user by the form of its distinct id.
func simplify(distinctID, user, device string) (string, string) {
	device = strings.TrimPrefix(device, devicePrefix)
	if user == "" && device == "" {
		if d, ok := strings.CutPrefix(distinctID, devicePrefix); ok {
			return "", d
		}
		return distinctID, ""
	}
	return user, device
}

// joined returns the ids that share a profile with id, itself included, sorted.
func (i *identities) joined(id string) []string {
	ids := []string{id}
	switch i.mode {
	case Original:
		if c := i.clusters[id]; c != nil {
			ids = slices.Clone(c.ids)
		}
	case Legacy:
		for a, to := range i.aliases {
			if to.to == id {
				ids = append(ids, a)
			}
		}
	case Simplified:
		for device, user := range i.users {
			if user == id {
				ids = append(ids, devicePrefix+device)
			}
		}
	}
	slices.Sort(ids)
	return ids
}
