package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/mixpanel/mixpaneltest"
	"muster/store"
)

// One way through all routes: each is answered with success, as openapi.yaml has it, and
// what it is asked to do has been done.
func TestEveryRoute(t *testing.T) {
	w := newWorld(t)
	w.people(t, 5)

	made := w.must(t, "POST", "/api/v1/audiences", `{"name": "Big spenders", "description": "a lot", "query": "event('Order Completed').sum(property('revenue')) >= 60"}`)
	if got := in(made, "audience", "key"); got != "big_spenders" {
		t.Errorf("the key is %v", got)
	}
	if got := in(made, "audience", "connections"); !cmp.Equal(got, []any{object{"destination": "mixpanel", "emit": "identify", "entered_event": "Audience Entered", "exited_event": "Audience Exited", "computed_event": "Trait Computed", "id_strategy": "all", "destination_cleanup": "none"}}) {
		t.Errorf("connections: %v", got)
	}
	w.must(t, "POST", "/api/v1/audiences", `{"key": "recent", "query": "event('Order Completed').within(8 days).count() >= 1", "schedule": "*/30 * * * *", "connections": []}`)
	w.must(t, "POST", "/api/v1/computed-traits", `{"key": "orders", "query": "event('Order Completed').count()", "connections": [{"destination": "mixpanel", "emit": "track", "computed_event": "Counted"}]}`)
	w.must(t, "POST", "/api/v1/computed-traits", `{"key": "orders_30d", "query": "event('Order Completed').within(30 days).count()", "connections": []}`)
	w.settle(t)

	if got := w.must(t, "GET", "/api/v1/audiences", ""); in(got, "pagination", "totalEntries") != 2.0 {
		t.Errorf("audiences: %v", got)
	}
	got := in(w.must(t, "GET", "/api/v1/audiences/big_spenders", ""), "audience").(object)
	if got["status"] != "live" || got["size"] != 3.0 || got["class"] != "realtime" || got["description"] != "a lot" {
		t.Errorf("an audience: %v", got)
	}
	if got := w.must(t, "GET", "/api/v1/computed-traits", ""); len(in(got, "computedTraits").([]any)) != 2 {
		t.Errorf("traits: %v", got)
	}
	w.must(t, "GET", "/api/v1/computed-traits/orders", "")

	edited := w.must(t, "PATCH", "/api/v1/audiences/big_spenders", `{"query": "event('Order Completed').sum(property('revenue')) >= 100"}`)
	if a := in(edited, "audience").(object); a["next_version"] != 2.0 || a["name"] != "Big spenders" || a["description"] != "a lot" {
		t.Errorf("edited: %v", a)
	}
	w.must(t, "PATCH", "/api/v1/computed-traits/orders", `{"description": "how many"}`)
	w.settle(t)
	members := w.must(t, "GET", "/api/v1/audiences/big_spenders/members", "")["members"].([]any)
	if len(members) != 2 || !slices.Contains(members[0].(object)["ids"].([]any), any("email:u3@example.net")) && !slices.Contains(members[1].(object)["ids"].([]any), any("email:u3@example.net")) {
		t.Errorf("members: %v", members)
	}
	if got := w.must(t, "GET", "/api/v1/computed-traits/orders/members", "")["members"].([]any); len(got) != 5 {
		t.Errorf("values: %v", got)
	}
	if got := w.must(t, "GET", "/api/v1/audiences/big_spenders/size?days=3", ""); got["size"] != 2.0 || in(got, "id_types", "email") != 2.0 || len(got["days"].([]any)) != 1 {
		t.Errorf("size: %v", got)
	}
	w.must(t, "GET", "/api/v1/computed-traits/orders/size", "")
	if got := w.must(t, "GET", "/api/v1/audiences/big_spenders/versions", "")["versions"].([]any); len(got) != 2 || in(got[0], "state") != "serves" {
		t.Errorf("versions: %v", got)
	}
	w.must(t, "GET", "/api/v1/computed-traits/orders/versions", "")

	w.must(t, "POST", "/api/v1/audiences", `{"key": "reader", "query": "trait('orders') >= 2 AND trait('big_spenders') = 'true'"}`)
	w.settle(t)
	if got := w.must(t, "GET", "/api/v1/computed-traits/orders/references", ""); !cmp.Equal(got["readers"], []any{"reader"}) {
		t.Errorf("references: %v", got)
	}
	w.must(t, "GET", "/api/v1/audiences/reader/references", "")

	why := in(w.must(t, "GET", "/api/v1/audiences/big_spenders/explanation?profile=email:u4@example.net", ""), "explanation").(object)
	if why["value"] != true || why["agrees"] != true || in(why, "why", "compared").([]any)[0] != 200.0 || len(why["told"].([]any)) != 1 {
		t.Errorf("explained: %v", why)
	}
	past := in(w.must(t, "GET", "/api/v1/computed-traits/orders/explanation?profile=u4&at=2026-05-09", ""), "explanation").(object)
	if past["past"] != true {
		t.Errorf("explained of the past: %v", past)
	}
	preview := in(w.must(t, "POST", "/api/v1/audiences/previews", `{"query": "event('Order Completed').within(30 days).count() >= 4", "samples": 1}`), "preview").(object)
	if preview["size"] != 2.0 || preview["complete"] != true || preview["class"] != "scheduled" || len(preview["samples"].([]any)) != 1 {
		t.Errorf("previewed: %v", preview)
	}
	w.must(t, "POST", "/api/v1/computed-traits/previews", `{"query": "event('Order Completed').count()", "profiles": 3, "timeout_seconds": 5}`)

	w.life(t)
	w.wait(48 * time.Hour)
	ran := w.must(t, "POST", "/api/v1/audiences/recent/runs", "")
	if got := in(ran, "runs").([]any); len(got) != 1 || in(got[0], "exited") == 0.0 {
		t.Errorf("ran: %v", ran)
	}
	w.must(t, "POST", "/api/v1/computed-traits/orders_30d/runs", "")
	runs := w.must(t, "GET", "/api/v1/runs?key=recent&kind=slot&pagination.count=1", "")["runs"].([]any)
	if len(runs) != 1 || in(runs[0], "key") != "recent" {
		t.Errorf("runs: %v", runs)
	}
	if got := w.must(t, "GET", fmt.Sprintf("/api/v1/runs/%v", in(runs[0], "id")), ""); !cmp.Equal(got["run"], runs[0]) {
		t.Errorf("a run: %v", got)
	}
	if got := w.must(t, "GET", "/api/v1/health", "")["problems"].([]any); len(got) != 0 {
		t.Errorf("all is well, but for: %v", got)
	}
	w.wait(time.Hour)
	if got := w.must(t, "GET", "/api/v1/health", "")["problems"].([]any); len(got) != 1 || in(got[0], "name") != "recent" {
		t.Errorf("no slot has run for an hour, and what is wrong is: %v", got)
	}
	w.settle(t)
	w.sourcesAndCalls(t)
	w.delivery(t)
	w.person(t)

	if got := w.must(t, "DELETE", "/api/v1/computed-traits/orders", ""); got["deleted"] != "orders" || !cmp.Equal(got["readers"], []any{"reader"}) {
		t.Errorf("deleted: %v", got)
	}
	w.must(t, "DELETE", "/api/v1/audiences/reader?cleanup=exit", "")
	if status, _ := w.call(t, w.read, "GET", "/api/v1/audiences/reader", ""); status != http.StatusNotFound {
		t.Errorf("what was deleted is answered %d", status)
	}
	w.profileRoutes(t)
	for path, item := range in(described, "paths").(object) {
		for method, op := range item.(object) {
			if id, _ := in(op, "operationId").(string); method != "parameters" && !w.done[id] {
				t.Errorf("%s %s was not answered with success", method, path)
			}
		}
	}
	for _, secret := range []string{w.read, w.write, "example.net"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log holds %s:\n%s", secret, w.log.String())
		}
	}
	if !strings.Contains(w.log.String(), `"token":"writer","route":"DELETE /api/v1/audiences/{key}","status":200`) {
		t.Errorf("the log does not say who changed what:\n%s", w.log.String())
	}
	if strings.Contains(w.log.String(), `"level":"ERROR"`) {
		t.Errorf("something failed:\n%s", w.log.String())
	}
}

// life disables, enables and tells again.
func (w *world) life(t *testing.T) {
	told := func() int64 {
		lags, err := w.store.Lags(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return lags[0].Delivered
	}
	if got := in(w.must(t, "PATCH", "/api/v1/audiences/reader", `{"enabled": false}`), "audience").(object); got["enabled"] != false || got["status"] != "disabled" {
		t.Errorf("disabled: %v", got)
	}
	for path, status := range map[string]int{"/api/v1/audiences/reader/resync": 409, "/api/v1/audiences/reader/runs": 409, "/api/v1/computed-traits/orders/runs": 409} {
		if got, answer := w.call(t, w.write, "POST", path, ""); got != status {
			t.Errorf("%s answers %d: %v", path, got, answer)
		}
	}
	if got := in(w.must(t, "PATCH", "/api/v1/audiences/reader", `{"enabled": true}`), "audience").(object); got["enabled"] != true {
		t.Errorf("enabled: %v", got)
	}
	w.settle(t)
	w.wait(time.Minute) // what was said at the moment of a resync is not said again
	before := told()
	w.must(t, "POST", "/api/v1/computed-traits/orders/resync", "")
	if status, answer := w.call(t, w.write, "POST", "/api/v1/computed-traits/orders/resync", ""); status != http.StatusConflict {
		t.Errorf("a second resync is answered %d: %v", status, answer)
	}
	w.must(t, "POST", "/api/v1/audiences/big_spenders/resync", `{"destination": "mixpanel"}`)
	w.settle(t)
	if got := told() - before; got != 8 {
		t.Errorf("%d messages were told again, want 5 values, 2 members and one who left", got)
	}
}

func (w *world) sourcesAndCalls(t *testing.T) {
	made := w.must(t, "POST", "/api/v1/sources", `{"name": "web", "rate": 50}`)
	rotated := w.must(t, "POST", "/api/v1/sources/web/rotate", `{"grace_seconds": 60}`)
	if made["write_key"] == rotated["write_key"] || len(rotated["write_key"].(string)) != 26 {
		t.Errorf("write keys: %v, then %v", made, rotated)
	}
	w.must(t, "POST", "/api/v1/sources/web/rotate", "")
	keys := w.store.WriteKeys(w.clock)
	if src, known, err := keys.ByWriteKey(t.Context(), rotated["write_key"].(string)); err != nil || !known || src.Rate != 50 {
		t.Errorf("the key that was rotated with a grace: %v %v %v", src, known, err)
	}
	w.must(t, "PATCH", "/api/v1/sources/web", `{"enabled": false, "rate": 0}`)
	if got := in(w.must(t, "GET", "/api/v1/sources/web", ""), "source").(object); got["enabled"] != false || got["rate"] != nil || got["has_key"] != true {
		t.Errorf("a source: %v", got)
	}
	if got := w.must(t, "GET", "/api/v1/sources", "")["sources"].([]any); len(got) != 2 {
		t.Errorf("sources: %v", got)
	}
	sources, err := w.store.Sources(t.Context(), w.clock())
	if err != nil {
		t.Fatal(err)
	}
	err = w.store.RecordCalls(t.Context(), []store.RecentCall{
		{SourceID: sources[1].ID, ReceivedAt: w.clock(), Outcome: "rejected", Code: "missing_event", Reason: "no event", Type: "track", IDs: []string{"user_id:u1"}},
		{SourceID: sources[1].ID, ReceivedAt: w.clock(), Outcome: "accepted", Type: "track", Name: "Seen", IDs: []string{"user_id:u2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	calls := w.must(t, "GET", "/api/v1/calls?source=web&outcome=accepted,rejected", "")["calls"].([]any)
	if len(calls) != 2 {
		t.Fatalf("calls: %v", calls)
	}
	if got := w.must(t, "GET", fmt.Sprintf("/api/v1/calls?after=%v&limit=5", in(calls[0], "id")), "")["calls"].([]any); len(got) != 1 || in(got[0], "name") != "Seen" {
		t.Errorf("calls after the first: %v", got)
	}
	if got := w.must(t, "GET", "/api/v1/calls?id=u1", "")["calls"].([]any); len(got) != 1 || in(got[0], "code") != "missing_event" {
		t.Errorf("calls with u1: %v", got)
	}
}

func (w *world) delivery(t *testing.T) {
	health := w.must(t, "GET", "/api/v1/health", "")
	if health["status"] != "ok" || health["destinations"] != 1.0 {
		t.Errorf("health: %v", health)
	}
	w.fake.Allow(mixpaneltest.RuleInvalid) // the fault refuses good records
	w.fake.SetFaults(mixpaneltest.Fault{Kind: mixpaneltest.FaultPartial, Endpoint: "import", Count: -1, Indexes: []int{0, 1, 2, 3, 4, 5}, Message: "refused on purpose"})
	w.take(
		t, `{"type":"track","messageId":"d1","userId":"u0","event":"Order Completed"}`,
		`{"type":"track","messageId":"d2","userId":"u1","event":"Order Completed"}`,
		`{"type":"track","messageId":"d3","userId":"u2","event":"Order Completed"}`,
	)
	w.must(t, "POST", "/api/v1/destinations/mixpanel/pause", "")
	if got := in(w.must(t, "GET", "/api/v1/destinations/mixpanel", ""), "destination").(object); got["paused"] != true || got["waiting"] != 3.0 {
		t.Errorf("a paused destination: %v", got)
	}
	w.settle(t)
	if got := in(w.must(t, "POST", "/api/v1/destinations/mixpanel/resume", ""), "destination").(object); got["paused"] != false || got["waiting"] != 3.0 {
		t.Errorf("a resumed destination: %v", got)
	}
	w.settle(t)
	letters := w.must(t, "GET", "/api/v1/dead-letters?destination=mixpanel&kind=rejected", "")["dead_letters"].([]any)
	if len(letters) != 3 || in(letters[0], "call", "event") != "Counted" {
		t.Fatalf("dead letters: %v", letters)
	}
	pages := w.pages(t, "/api/v1/dead-letters?kind=rejected&pagination.count=2", []string{"data", "dead_letters"}, []string{"data", "pagination", "next"}, field("id"), "pagination.cursor")
	if len(pages) != 2 || len(pages[0]) != 2 || len(pages[1]) != 1 || pages[1][0] != fmt.Sprint(in(letters[2], "id")) {
		t.Errorf("dead letters by page: %v", pages)
	}
	health = w.must(t, "GET", "/api/v1/health", "")
	if got := health["problems"].([]any); health["status"] != "degraded" || in(got[0], "reason") != "dead letters wait for a decision: 3 rejected" {
		t.Errorf("health: %v", health)
	}
	// What is withheld of suppressed people waits for nobody's decision.
	withheld := func(where string) {
		t.Helper()
		if _, err := w.store.Pool().Exec(t.Context(), `UPDATE dead_letters SET code = 'suppressed' WHERE `+where); err != nil {
			t.Fatal(err)
		}
		health = w.must(t, "GET", "/api/v1/health", "")
	}
	withheld(fmt.Sprintf("dead_letter_id = %v", in(letters[0], "id")))
	if got := health["problems"].([]any); len(got) != 1 || in(got[0], "reason") != "dead letters wait for a decision: 2 rejected" {
		t.Errorf("health with one person suppressed: %v", health)
	}
	if withheld("true"); health["status"] != "ok" {
		t.Errorf("health with all suppressed: %v", health)
	}
	w.fake.SetFaults()
	if got := w.must(t, "POST", "/api/v1/dead-letters/retry", fmt.Sprintf(`{"ids": [%v]}`, in(letters[0], "id"))); got["queued"] != 1.0 {
		t.Errorf("retried: %v", got)
	}
	if got := w.must(t, "POST", "/api/v1/dead-letters/drop", `{"all": true}`); got["dropped"] != 2.0 {
		t.Errorf("dropped: %v", got)
	}
	w.settle(t)
	if got := w.must(t, "GET", "/api/v1/destinations", "")["destinations"].([]any); in(got[0], "waiting") != 0.0 || in(got[0], "dead_letters") != 0.0 {
		t.Errorf("destinations: %v", got)
	}
}

func (w *world) person(t *testing.T) {
	got := in(w.must(t, "GET", "/api/v1/profiles/email:u4%40example.net?limit=2", ""), "profile").(object)
	if len(got["events"].([]any)) != 2 || in(got, "counts", "events") != 5.0 || len(got["ids"].([]any)) != 2 || len(got["values"].([]any)) == 0 {
		t.Errorf("a person: %v", got)
	}
	regulate := func(typ, subject, id string) object {
		return in(w.must(t, "POST", "/api/v1/regulations", fmt.Sprintf(`{"regulationType": %q, "subjectType": %q, "subjectIds": [%q]}`, typ, subject, id)), "regulation").(object)
	}
	if got := regulate("SUPPRESS_ONLY", "USER_ID", "u0"); got["suppressed"] != 2.0 || got["profiles"] != 1.0 {
		t.Errorf("suppressed: %v", got)
	}
	shown := func(want bool) {
		t.Helper()
		if got := in(w.must(t, "GET", "/api/v1/profiles/u0", ""), "profile", "suppressed"); got != want {
			t.Errorf("the profile says of suppressed: %v, want %t", got, want)
		}
	}
	shown(true)
	if got := regulate("UNSUPPRESS", "EXTERNAL_ID", "email:U0@example.net"); got["suppressed"] != 2.0 {
		t.Errorf("not suppressed any more: %v", got)
	}
	shown(false)
	if got := regulate("SUPPRESS_WITH_DELETE_INTERNAL", "EXTERNAL_ID", "email:u0@example.net"); got["suppressed"] != 2.0 || got["events"] != 2.0 || got["traits"] == 0.0 {
		t.Errorf("suppressed and deleted: %v", got)
	}
	if got := regulate("DELETE_INTERNAL", "USER_ID", "u1"); got["suppressed"] != 0.0 || got["profiles"] != 1.0 {
		t.Errorf("deleted: %v", got)
	}
	for _, id := range []string{"u0", "user_id:u1"} {
		if status, _ := w.call(t, w.read, "GET", "/api/v1/profiles/"+id, ""); status != http.StatusNotFound {
			t.Errorf("%s, who was deleted, is answered %d", id, status)
		}
	}
}
