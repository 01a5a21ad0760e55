package ingest

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A connection is used again after a request with a length, and never after one in chunks.
func TestConnectionsCloseAfterChunks(t *testing.T) {
	s := open(t)
	const call = `{"type":"track","userId":"u","event":"Seen"}`
	for _, c := range []struct {
		body   io.Reader
		closes bool
	}{{strings.NewReader(call), false}, {io.MultiReader(strings.NewReader(call)), true}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/track", c.body)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("wk1", "")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, a.Body)
		if a.Body.Close(); a.StatusCode != http.StatusOK || a.Close != c.closes {
			t.Errorf("answered %s, closes: %v, want %v", a.Status, a.Close, c.closes)
		}
	}
}
