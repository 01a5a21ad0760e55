package mixpaneltest_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/mixpanel/mixpaneltest"
)

const (
	anon1 = "0b1a6a5c-6b9e-4c3e-9d0e-0f2f8f5b1a01"
	anon2 = "0b1a6a5c-6b9e-4c3e-9d0e-0f2f8f5b1a02"
)

func project(mode mixpaneltest.IDMerge) mixpaneltest.Options {
	return mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: token, IDMerge: mode}}}
}

func identity(t *testing.T, s *mixpaneltest.Server, name string, members ...string) reply {
	t.Helper()
	path := "/track?ip=0&verbose=1"
	if name == "$merge" {
		path = "/import?strict=1"
	}
	return request{path: path, body: list(event(name, append(members, "time", "-", "$insert_id", "-", "ip", "-")...))}.send(t, s)
}

func quote(s string) string { return `"` + s + `"` }

// whose are "event:distinct id" of the deduplicated events that are no identity events.
func whose(s *mixpaneltest.Server) (owners []string) {
	for _, e := range s.Events(token, mixpaneltest.Deduped) {
		if !strings.HasPrefix(e.Name, "$") {
			owners = append(owners, e.Name+":"+e.DistinctID)
		}
	}
	return owners
}

func wantOwners(t *testing.T, s *mixpaneltest.Server, want ...string) {
	t.Helper()
	if got := whose(s); !reflect.DeepEqual(got, want) {
		t.Errorf("events belong to %v, want %v", got, want)
	}
}

func TestLegacyAlias(t *testing.T) {
	s := start(t, project(mixpaneltest.Legacy))
	s.SetNow(noon)
	alias := func(id, as string) {
		t.Helper()
		identity(t, s, "$create_alias", "distinct_id", quote(id), "alias", quote(as)).want(t, 200, engaged)
	}
	send(t, s, event("A", "distinct_id", quote("a1")))
	engage(t, s, update("a1", `"$set":{"seen":1}`))
	alias("a1", "user")
	s.Advance(time.Second)
	send(t, s, event("B", "distinct_id", quote("user"), "time", ms(noon.Add(time.Second))))
	engage(t, s, update("user", `"$set":{"name":"Ada"}`))
	wantOwners(t, s, "A:a1", "B:a1")
	wantProperties(t, s, "user", `{"seen":1,"name":"Ada"}`)
	wantProperties(t, s, "a1", `{"seen":1,"name":"Ada"}`)
	if p, _ := s.Profile(token, "user"); p.DistinctID != "a1" || !reflect.DeepEqual(p.IDs, []string{"a1", "user"}) {
		t.Errorf("profile %+v", p)
	}

	alias("a2", "user") // the first alias of an id wins
	alias("user", "a1") // and a ring is not made
	s.Advance(time.Second)
	engage(t, s, update("user", `"$set":{"again":true}`), update("a2", `"$set":{"x":2}`))
	wantProperties(t, s, "a1", `{"seen":1,"name":"Ada","again":true}`)
	wantProperties(t, s, "a2", `{"x":2}`)
	effects := map[mixpaneltest.Effect]int{}
	for _, e := range s.Events(token, mixpaneltest.Raw) {
		effects[e.Effect]++
	}
	if effects[mixpaneltest.EffectMerged] != 1 || effects[mixpaneltest.EffectIgnored] != 2 {
		t.Errorf("effects %v", effects)
	}

	// An alias of an alias leads to the end of the chain.
	alias("user", "late")
	s.Advance(time.Second)
	engage(t, s, update("late", `"$unset":["again","seen"]`))
	wantProperties(t, s, "a1", `{"name":"Ada"}`)

	// $ignore_alias means exactly this id.
	engage(t, s, update("user", `"$ignore_alias":true,"$delete":""`))
	wantProperties(t, s, "a1", `{"name":"Ada"}`)
	engage(t, s, update("user", `"$delete":""`))
	wantProperties(t, s, "a1", "")
	if n := len(whose(s)); n != 2 {
		t.Errorf("%d events are left after the profile was deleted, want 2", n)
	}
}

func TestAliasNeedsTimeToSettle(t *testing.T) {
	s := start(t, mixpaneltest.Options{AliasSettle: 2 * time.Second})
	s.SetNow(noon)
	s.Expect(mixpaneltest.RuleUnsettled)
	engage(t, s, update("a1", `"$set":{"seen":1}`))
	identity(t, s, "$create_alias", "distinct_id", quote("a1"), "alias", quote("user"))
	s.Advance(2*time.Second - time.Millisecond)
	engage(t, s, update("user", `"$set":{"lost":1}`), update("other", `"$set":{}`))
	send(t, s, event("Lost", "distinct_id", quote("user")))
	send(t, s, event("Early", "distinct_id", quote("a1")))
	if got := rules(s); len(got) != 3 {
		t.Errorf("violations %v, want three", s.Violations())
	}
	s.Advance(time.Millisecond)
	send(t, s, event("Found", "distinct_id", quote("user")))
	wantOwners(t, s, "Lost:user", "Early:a1", "Found:a1")
	wantProperties(t, s, "user", `{"seen":1}`) // the split profile is out of reach
	split := 0
	for p := range s.Profiles(token) {
		if p.DistinctID == "user" && reflect.DeepEqual(p.Properties, map[string]any{"lost": 1.0}) {
			split++
		}
	}
	if split != 1 || len(rules(s)) != 3 {
		t.Errorf("%d split profiles, want 1; violations %v", split, s.Violations())
	}

	quick := start(t, mixpaneltest.Options{AliasSettle: -1})
	quick.SetNow(noon)
	identity(t, quick, "$create_alias", "distinct_id", quote("a1"), "alias", quote("user"))
	engage(t, quick, update("user", `"$set":{"a":1}`))
	wantProperties(t, quick, "a1", `{"a":1}`)
}

// What an alias joins that is sent again, after its answer got lost or by a process that does
// not know of it, is joined already.
func TestRepeatedAliasSettlesNothing(t *testing.T) {
	for _, mode := range []mixpaneltest.IDMerge{mixpaneltest.Legacy, mixpaneltest.Original} {
		t.Run(string(mode), func(t *testing.T) {
			options := project(mode)
			options.AliasSettle = 2 * time.Second
			s := start(t, options)
			s.SetNow(noon)
			s.Expect(mixpaneltest.RuleUnsettled)
			alias := func() { identity(t, s, "$create_alias", "distinct_id", quote("a1"), "alias", quote("user")) }
			alias()
			s.Advance(time.Second)
			alias()
			engage(t, s, update("user", `"$set":{"early":1}`))
			if len(rules(s)) != 1 {
				t.Errorf("violations %v; the first alias has not settled", s.Violations())
			}
			s.Advance(time.Second)
			alias()
			engage(t, s, update("user", `"$set":{"seen":1}`))
			send(t, s, event("Found", "distinct_id", quote("user")))
			if len(rules(s)) != 1 {
				t.Errorf("violations %v; the first alias has settled, and the others changed nothing", s.Violations())
			}
			wantOwners(t, s, "Found:a1")
		})
	}
}

func TestOriginalMerge(t *testing.T) {
	options := project(mixpaneltest.Original)
	options.AliasSettle = -1
	options.Limits.ClusterIDs = 4
	s := start(t, options)
	link := func(user, anon string) {
		t.Helper()
		identity(t, s, "$identify", "$identified_id", quote(user), "$anon_id", quote(anon)).want(t, 200, engaged)
	}
	send(t, s, event("A", "distinct_id", quote(anon1)))
	send(t, s, event("B", "distinct_id", quote("u1"), "$device_id", quote(anon2), "$user_id", quote("u9"))) // inert here
	engage(t, s, update(anon1, `"$set":{"a":1,"both":"anon"}`), update("u1", `"$time":`+ms(noon.Add(-time.Hour))+`,"$set":{"u":1,"both":"user"}`))
	wantOwners(t, s, "A:"+anon1, "B:u1")

	if p, _ := s.Profile(token, anon1); !p.LastSeen.Equal(noon) {
		t.Errorf("last seen %v", p.LastSeen)
	}
	link("u1", anon1)
	if p, _ := s.Profile(token, "u1"); !p.LastSeen.Equal(noon) { // u1's own was an hour earlier
		t.Errorf("last seen %v", p.LastSeen)
	}
	wantOwners(t, s, "A:u1", "B:u1") // older events follow
	wantProperties(t, s, anon1, `{"a":1,"u":1,"both":"user"}`)
	if n := s.ProfileCount(token); n != 1 {
		t.Errorf("%d profiles, want 1", n)
	}

	link("u2", anon1)                                  // joined already: ignored
	link("u2", "cookie-7")                             // no UUID: ignored
	link("u2", "0b1a6a5c-6b9e-1c3e-9d0e-0f2f8f5b1a02") // version 1: ignored
	engage(t, s, update("u2", `"$set":{"second":1}`))
	wantProperties(t, s, "u2", `{"second":1}`)

	identity(t, s, "$create_alias", "distinct_id", quote("u2"), "alias", quote("u1")).want(t, 200, engaged) // u1 is mapped: ignored
	identity(t, s, "$create_alias", "distinct_id", quote("u1"), "alias", quote("mail")).want(t, 200, engaged)
	identity(t, s, "$merge", "$distinct_ids", `["u1","u2"]`).want(t, 200, imported(1))
	wantProperties(t, s, "u2", `{"a":1,"u":1,"both":"user","second":1}`)
	p, _ := s.Profile(token, "mail")
	if want := []string{anon1, "mail", "u1", "u2"}; p.DistinctID != "u1" || !reflect.DeepEqual(p.IDs, want) {
		t.Errorf("profile %+v, want the ids %v", p, want)
	}
	identity(t, s, "$merge", "$distinct_ids", `["u1","u3"]`).want(t, 200, imported(1)) // the fifth id: ignored without a word
	engage(t, s, update("u3", `"$set":{"x":1}`))
	wantProperties(t, s, "u3", `{"x":1}`)

	s.Expect(mixpaneltest.RuleInvalid)
	for _, ids := range []string{`["u1"]`, `["u1","u2","u3"]`, `"u1"`, `["","u1"]`} {
		if r := identity(t, s, "$merge", "$distinct_ids", ids); r.status != 400 || !strings.Contains(r.body, "$distinct_ids") {
			t.Errorf("$merge of %s: status %d: %s", ids, r.status, r.body)
		}
	}
}

func TestSimplifiedLinks(t *testing.T) {
	s := start(t, project(mixpaneltest.Simplified))
	n := 0
	one := func(name string, members ...string) {
		t.Helper()
		n++
		send(t, s, event(name, append(members, "$insert_id", fmt.Sprintf(`"i-%d"`, n))...)).want(t, 200, imported(1))
	}
	one("Device", "distinct_id", "-", "$device_id", `"d1"`)
	one("Prefixed", "distinct_id", "-", "$device_id", `"$device:d1"`)
	one("Bare", "distinct_id", `"$device:d1"`)
	one("Phantom", "distinct_id", `"d1"`)
	wantOwners(t, s, "Device:$device:d1", "Prefixed:$device:d1", "Bare:$device:d1", "Phantom:d1")
	engage(t, s, update("$device:d1", `"$set":{"a":1}`))

	one("Link", "distinct_id", `"ignored"`, "$device_id", `"d1"`, "$user_id", `"u1"`)
	one("Second", "distinct_id", `"u2"`, "$device_id", `"d1"`, "$user_id", `"u2"`) // the first link wins
	one("After", "distinct_id", "-", "$device_id", `"d1"`)
	wantOwners(t, s, "Device:u1", "Prefixed:u1", "Bare:u1", "Phantom:d1", "Link:u1", "Second:u2", "After:u1")
	wantProperties(t, s, "$device:d1", `{"a":1}`) // profiles do not follow
	wantProperties(t, s, "u1", "")
	if a := s.Activity(token, "$device:d1"); len(a) != 5 {
		t.Errorf("activity of the device: %d events, want 5", len(a))
	}

	// Rekeying comes before the comparison of copies.
	send(t, s, event("Copy", "distinct_id", "-", "$device_id", `"d2"`), event("Copy", "distinct_id", `"u3"`))
	if got := s.EventCount(token, mixpaneltest.Deduped); got != 9 {
		t.Errorf("%d events before the link, want 9", got)
	}
	one("Link", "distinct_id", `"u3"`, "$device_id", `"d2"`, "$user_id", `"u3"`)
	if got := s.EventCount(token, mixpaneltest.Deduped); got != 9 {
		t.Errorf("%d events after the link, want 9: two copies became one", got)
	}
}

func TestSimplifiedRefusesIdentityEvents(t *testing.T) {
	const text = "identity events are not allowed when project is using simplified identity management"
	for _, name := range []string{"$identify", "$create_alias", "$merge"} {
		s := start(t, project(mixpaneltest.Simplified))
		s.Expect(mixpaneltest.RuleInvalid, mixpaneltest.RuleIdentityBatched)
		members := []string{"alias", `"a"`, "$identified_id", `"u"`, "$anon_id", quote(anon1), "$distinct_ids", `["a","b"]`}
		send(t, s, event("Good"), event(name, members...)).want(t, 400, `{"code":400,"error":"some data points in the request failed validation",
			"status":"Bad Request","num_records_imported":0,"failed_records":["`+text+`"]}`)
		if n := s.EventCount(token, mixpaneltest.Raw); n != 0 {
			t.Errorf("%s: %d events of the batch were imported", name, n)
		}
		if name != "$merge" {
			identity(t, s, name, members...).want(t, 200, `{"status":0,"error":"`+text+`"}`)
		}
	}
}

func TestIdentityEventsTravelAlone(t *testing.T) {
	s := start(t, mixpaneltest.Options{AliasSettle: -1})
	s.Expect(mixpaneltest.RuleIdentityBatched)
	send(t, s, event("A"), event("$create_alias", "alias", `"x"`)).want(t, 200, imported(2))
	if v := s.Violations(); len(v) != 1 || v[0].Index != 1 {
		t.Errorf("violations %v", v)
	}
}
