package app_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/query"
	"muster/query/querytest"
)

// The vocabulary is small, so that calls meet on profiles, and definitions meet on the keys
// that random definitions read as traits.
var (
	userIDs      = []string{"u1", "u2", "u3", "u4"}
	anonymousIDs = []string{"a1", "a2", "a3", "a4"}
	emails       = []string{"e1@x.test", "e2@x.test", "e3@x.test"}
	keys         = []string{"member", "amount", "colour", "tags", "missing", "seen_at"}
	schedules    = []string{"0 * * * *", "0 */6 * * *"}
	sources      = []string{"web", "ios", "job"}
)

// plain are definitions that share leaves.
var plain = map[query.Purpose][]string{
	query.Audience: {
		"event('Bought').count() >= 2", "event('Seen').within(1 day).count() >= 1", "NOT (event('Bought').count() >= 1)",
		"event('Bought').count() >= 1 AND event('Seen').within(1 day).count() = 0",
	},
	query.Trait: {
		"event('Bought').count()", "event('Seen').within(1 day).count()", "event('Bought').unique(property('colour'))",
	},
}

// chance is true once in n times.
func chance(t *rapid.T, n int) bool { return rapid.IntRange(1, n).Draw(t, "chance") == 1 }

// ids gives a call the ids of one or two persons.
func ids(t *rapid.T, c *event.Call) {
	switch rapid.IntRange(0, 5).Draw(t, "ids") {
	case 0, 1:
		c.UserID = rapid.SampledFrom(userIDs).Draw(t, "user")
	case 2, 3:
		c.AnonymousID = rapid.SampledFrom(anonymousIDs).Draw(t, "visitor")
	case 4:
		c.UserID = rapid.SampledFrom(userIDs).Draw(t, "user")
		c.AnonymousID = rapid.SampledFrom(anonymousIDs).Draw(t, "visitor")
	case 5: // known by an id that no destination takes, or by an email alone
		email := ""
		if rapid.Bool().Draw(t, "mailed") {
			email = `"traits":{"email":"` + rapid.SampledFrom(emails).Draw(t, "email") + `"},`
		}
		c.Context = jsontext.Value(`{` + email + `"externalIds":[{"id":"` + rapid.SampledFrom([]string{"g1", "g2"}).Draw(t, "id") +
			`","type":"ga_client_id","collection":"users","encoding":"none"}]}`)
		if chance(t, 2) {
			c.AnonymousID = rapid.SampledFrom(anonymousIDs).Draw(t, "visitor")
		}
	}
}

// drawCalls draws calls around the present, with a message id each.
func drawCalls(t *rapid.T, now time.Time, message func() string) []engine.Received {
	var batch []engine.Received
	for _, e := range querytest.Events(5).Draw(t, "events") {
		c := &event.Call{Type: event.Track, MessageID: message(), Event: e.Name, Timestamp: e.Time.Truncate(time.Millisecond), Properties: e.Properties}
		ids(t, c)
		if c.Context == nil {
			c.Context = e.Context
		}
		batch = append(batch, engine.Received{Call: c, Source: e.Source})
	}
	for range rapid.IntRange(0, 3).Draw(t, "other calls") {
		c := &event.Call{MessageID: message(), Timestamp: now.Add(-time.Duration(rapid.IntRange(0, 6).Draw(t, "late")) * time.Hour)}
		ids(t, c)
		switch rapid.IntRange(0, 5).Draw(t, "type") {
		case 0, 1, 2:
			c.Type = event.Identify
			traits := querytest.TraitValues().Draw(t, "traits")
			if chance(t, 3) {
				traits[rapid.SampledFrom(keys).Draw(t, "key")] = query.Null()
			}
			if chance(t, 3) {
				traits["email"] = query.Text(rapid.SampledFrom(emails).Draw(t, "email"))
			}
			c.Traits = object(traits)
		case 3:
			c.Type, c.Name = event.Page, "Home"
		case 4:
			c.Type, c.PreviousID = event.Alias, rapid.SampledFrom(anonymousIDs).Draw(t, "previous")
			c.UserID = rapid.SampledFrom(userIDs).Draw(t, "user")
		case 5:
			c.Type, c.GroupID = event.Group, "acme"
		}
		batch = append(batch, engine.Received{Call: c, Source: sources[0]})
	}
	for i := range batch {
		batch[i].Call.ReceivedAt = now
	}
	return batch
}

// object is a JSON object.
func object(members map[string]query.Value) jsontext.Value {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(members)) {
		parts = append(parts, query.Text(key).String()+":"+members[key].String())
	}
	return jsontext.Value("{" + strings.Join(parts, ",") + "}")
}

// drawMeeting draws calls that say little but whose ids belong together.
func drawMeeting(t *rapid.T, now time.Time, message func() string) []engine.Received {
	var batch []engine.Received
	for range rapid.IntRange(1, 2).Draw(t, "meetings") {
		c := &event.Call{Type: event.Group, GroupID: "acme", MessageID: message(), Timestamp: now, ReceivedAt: now}
		ids(t, c)
		if c.UserID != "" && chance(t, 2) {
			c.Type, c.PreviousID = event.Alias, rapid.SampledFrom(anonymousIDs).Draw(t, "previous")
		} else if chance(t, 2) {
			c.AnonymousID = rapid.SampledFrom(anonymousIDs).Draw(t, "visitor")
		}
		batch = append(batch, engine.Received{Call: c, Source: sources[0]})
	}
	return batch
}

// drawDefinition draws a new definition, or an edit of one that has the key.
func drawDefinition(t *rapid.T, w *world) engine.Definition {
	key := rapid.SampledFrom(keys).Draw(t, "key")
	def := engine.Definition{
		Key: key, Kind: rapid.SampledFrom([]query.Purpose{query.Audience, query.Audience, query.Trait}).Draw(t, "kind"),
		IncludeAnonymous: rapid.Bool().Draw(t, "anonymous"), IncludeHistorical: !chance(t, 6),
	}
	if c := w.byKey(key); c != nil && !chance(t, 10) {
		def = c.def
	}
	if c := w.byKey(key); c == nil || !chance(t, 3) {
		def.Query = querytest.Definitions(def.Kind).Draw(t, "query")
		if chance(t, 3) {
			def.Query = rapid.SampledFrom(plain[def.Kind]).Draw(t, "plain")
		}
		if def.Kind == query.Audience && chance(t, 3) {
			def.Query += " OR trait('" + rapid.SampledFrom(keys).Draw(t, "reads") + "') = " + rapid.SampledFrom([]string{"'true'", "'false'", "2"}).Draw(t, "as")
		}
	}
	if c := w.byKey(key); c != nil && c.current != nil && chance(t, 4) {
		def.Query = c.current.query.Text() // back
	}
	def.ReuseKey = !chance(t, 6)
	if def.Disabled { // most of the time it does not stay so
		def.Disabled = chance(t, 3)
	} else {
		def.Disabled = chance(t, 8)
	}
	def.Schedule = rapid.SampledFrom(schedules).Draw(t, "schedule")
	def.Refresh = rapid.SampledFrom([]engine.Refresh{engine.RefreshSlots, engine.RefreshRealtime}).Draw(t, "refresh")
	def.BackfillDays = rapid.SampledFrom([]int{0, 0, 0, 5}).Draw(t, "days")
	def.Connections = nil
	if !chance(t, 8) {
		def.Connections = []engine.ConnectionDefinition{{
			Destination: "mixpanel",
			Emit:        rapid.SampledFrom([]engine.Emit{engine.EmitIdentify, engine.EmitBoth, engine.EmitTrack}).Draw(t, "emit"),
			Strategy:    rapid.SampledFrom([]identity.Strategy{identity.All, identity.All, identity.First, identity.Last}).Draw(t, "strategy"),
			Cleanup:     rapid.SampledFrom([]engine.Cleanup{engine.CleanupNone, engine.CleanupExit, engine.CleanupUnset}).Draw(t, "cleanup"),
		}}
	}
	return def
}

// calls shows a batch in a failure.
func calls(batch []engine.Received) string {
	var b strings.Builder
	for _, r := range batch {
		c := r.Call
		fmt.Fprintf(&b, "\n    %s %s user %q visitor %q previous %q at %s: %s%s%s %s from %s", c.MessageID, c.Type, c.UserID, c.AnonymousID, c.PreviousID,
			c.Timestamp.Format(time.RFC3339), c.EventName(), c.Properties, c.Traits, c.Context, r.Source)
	}
	return b.String()
}
