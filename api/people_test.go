package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"muster/ingest"
)

// suppressed tells whether a call with an id is dropped; who is the member of the call that has it.
func (w *world) suppressed(t *testing.T, who string) bool {
	t.Helper()
	w.wait(2 * time.Second) // what is remembered of the list is too old then
	src, err := w.store.EnsureSource(t.Context(), "import", w.clock())
	if err != nil {
		t.Fatal(err)
	}
	call := fmt.Sprintf(`{"type":"track","messageId":"at-%d","event":"Seen",%s}`, w.clock().Unix(), who)
	summary, err := ingest.Import{Sink: w.app.Sink(), SourceID: src.ID, Now: w.clock}.Run(t.Context(), strings.NewReader(call))
	if err != nil || summary.Refused > 0 {
		t.Fatal(err, summary)
	}
	return summary.Suppressed == 1
}

// Each subject of a regulation is somebody: to take one off the list leaves the others on it.
func TestSubjectsAreDifferentPeople(t *testing.T) {
	w := newWorld(t)
	w.people(t, 3)
	regulate := func(typ, ids string) object {
		t.Helper()
		return in(w.must(t, "POST", "/api/v1/regulations", fmt.Sprintf(`{"regulationType": %q, "subjectType": "EXTERNAL_ID", "subjectIds": [%s]}`, typ, ids)), "regulation").(object)
	}
	check := func(when string, want map[string]bool) {
		t.Helper()
		for who, dropped := range want {
			if got := w.suppressed(t, who); got != dropped {
				t.Errorf("%s: a call with %s is dropped: %t, want %t", when, who, got, dropped)
			}
		}
	}
	const u0, u0mail, u1, u1mail, u2, stranger = `"userId":"u0"`, `"context":{"traits":{"email":"u0@example.net"}},"anonymousId":"x0"`,
		`"userId":"u1"`, `"context":{"traits":{"email":"u1@example.net"}},"anonymousId":"x1"`, `"userId":"u2"`, `"userId":"stranger"`

	// Two ids of one person are that person.
	if got := regulate("SUPPRESS_ONLY", `"user_id:u0", "email:u0@example.net", "user_id:u1", "user_id:stranger"`); got["profiles"] != 2.0 || got["ids"] != 5.0 || got["suppressed"] != 5.0 {
		t.Errorf("suppressed: %v", got)
	}
	check("suppressed", map[string]bool{u0: true, u0mail: true, u1: true, u1mail: true, u2: false, stranger: true})
	if got := regulate("UNSUPPRESS", `"email:u0@example.net"`); got["suppressed"] != 2.0 {
		t.Errorf("one is suppressed no longer: %v", got)
	}
	check("after one was taken off", map[string]bool{u0: false, u0mail: false, u1: true, u1mail: true, stranger: true})
	if got := regulate("SUPPRESS_WITH_DELETE_INTERNAL", `"user_id:u1", "user_id:u2"`); got["profiles"] != 2.0 || got["suppressed"] != 2.0 {
		t.Errorf("deleted: %v", got)
	}
	check("after two were deleted", map[string]bool{u1: true, u1mail: true, u2: true, u0: false})
	if got := regulate("UNSUPPRESS", `"user_id:u2"`); got["suppressed"] != 2.0 {
		t.Errorf("one who was deleted is suppressed no longer: %v", got)
	}
	check("after one of them was taken off", map[string]bool{u1: true, u1mail: true, u2: false})
}
