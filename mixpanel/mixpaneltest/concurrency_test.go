package mixpaneltest_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"muster/mixpanel/mixpaneltest"
)

// TestManySenders lets senders of different people work at once, in every id merge
// mode, while others look on: nothing is lost and no rule is broken.
func TestManySenders(t *testing.T) {
	const senders, rounds = 8, 20
	for _, mode := range []mixpaneltest.IDMerge{mixpaneltest.Legacy, mixpaneltest.Original, mixpaneltest.Simplified} {
		t.Run(string(mode), func(t *testing.T) {
			options := project(mode)
			options.AliasSettle = -1
			s := start(t, options)
			stop := make(chan struct{})
			var looking sync.WaitGroup
			looking.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					s.Events(token, mixpaneltest.Deduped)
					s.AllProfileValues(token, "n")
					s.Profile(token, "u0")
					s.Requests()
					s.Violations()
				}
			})
			var sending sync.WaitGroup
			for k := range senders {
				sending.Go(func() {
					user, anonymous := fmt.Sprintf("u%d", k), fmt.Sprintf("0b1a6a5c-6b9e-4c3e-9d0e-%012d", k)
					if mode != mixpaneltest.Simplified {
						engage(t, s, update(anonymous, `"$set":{"before":1}`))
						identity(t, s, "$create_alias", "distinct_id", quote(user), "alias", quote(anonymous))
					}
					for round := range rounds {
						id := user
						if round%2 == 1 && mode != mixpaneltest.Simplified {
							id = anonymous
						}
						engage(t, s, update(id, `"$add":{"n":1}`), update(id, `"$append":{"l":1}`)).want(t, 200, engaged)
						send(t, s, event("A", "$insert_id", fmt.Sprintf(`"%d-%d"`, k, round), "distinct_id", quote(id),
							"$user_id", quote(user), "$device_id", quote(anonymous))).want(t, 200, imported(1))
					}
				})
			}
			sending.Wait()
			close(stop)
			looking.Wait()
			values := s.AllProfileValues(token, "n")
			if len(values) != senders {
				t.Errorf("%d profiles with n, want %d", len(values), senders)
			}
			for id, n := range values {
				if p, _ := s.Profile(token, id); n != float64(rounds) || len(p.Properties["l"].([]any)) != rounds {
					t.Errorf("%s: %v", id, p.Properties)
				}
				if mine := len(s.Activity(token, id)); mine < rounds {
					t.Errorf("%s has %d events, want %d", id, mine, rounds)
				}
			}
		})
	}
}
