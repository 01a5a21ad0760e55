package mixpaneltest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestFlightsLand: what a request had aboard is gone when it is answered, so that
// long runs do not fill the memory.
func TestFlightsLand(t *testing.T) {
	s := NewServer(Options{})
	for i := range 100 {
		body := fmt.Sprintf(`[{"$token":%q,"$distinct_id":"u%d","$set":{}},{"$token":%q,"$distinct_id":"u%d","$add":{"n":1}}]`, DefaultToken, i, DefaultToken, i)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/engage?ip=0", strings.NewReader(body)))
		if w.Body.String() != "1" {
			t.Fatal(w.Body)
		}
	}
	for i := range s.flights.shards {
		if n := len(s.flights.shards[i].aboard); n != 0 {
			t.Errorf("shard %d still has %d ids", i, n)
		}
	}
}

func TestFindingsAreBounded(t *testing.T) {
	var f findings[int]
	f.add(3, 1, 2)
	f.add(3, 3, 4, 5)
	f.add(3, 6)
	if got := f.list(); len(got) != 3 || got[2] != 3 || f.count() != 6 {
		t.Errorf("kept %v of %d, want the first three of 6", got, f.count())
	}
}
