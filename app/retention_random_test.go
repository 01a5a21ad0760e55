package app_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"muster/app"
	"muster/engine"
	"muster/query"
)

// The same calls, with and without old events being dropped every few days, make the same
// values and the same tellings: late calls, merges and slots that come late included.
func TestRetentionChangesNothingThatIsTold(t *testing.T) {
	definitions := []engine.Definition{
		{Key: "ever", Kind: query.Trait, Query: "event('Bought').count()"},
		{Key: "spent", Kind: query.Trait, Query: "event('Bought').sum(property('price'))"},
		{Key: "least", Kind: query.Trait, Query: "event('Bought').min(property('price'))"},
		{Key: "earliest", Kind: query.Trait, Query: "event('Bought').first(property('price'))"},
		{Key: "prices", Kind: query.Trait, Query: "event('Bought').unique(property('price'))"},
		{Key: "favourite", Kind: query.Trait, Query: "event('Bought').mode(property('price'))"},
		{Key: "month", Kind: query.Trait, Query: "event('Bought').within(30 days).count()"},
		{Key: "cheapest_of_late", Kind: query.Trait, Query: "event('Bought').within(45 days).min(property('price'))"},
		{Key: "quarter_before", Kind: query.Audience, Query: "event('Seen').between(30 days, 75 days).count() >= 2"},
		{Key: "basket", Kind: query.Audience, Query: "event('Seen').where(event('Bought').within(parent: 20 days).count() = 0).within(60 days).count() >= 1"},
		{Key: "lapsed", Kind: query.Audience, Query: "event('Bought').count() >= 1 AND event('Bought').within(40 days).count() = 0"},
		{Key: "both", Kind: query.Audience, Query: "trait('lapsed') = true AND trait('spent') >= 10"},
	}
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			var now time.Time
			var results [2][]string
			dropped := 0
			for i, retention := range []app.Retention{{}, {Events: 10 * day}} {
				now = time.Date(2025, 1, 3, 7, 30, 0, 0, time.UTC)
				random := rand.New(rand.NewPCG(seed, 7))
				l := newLab(t, &now)
				l.define(t, definitions...)
				l.settle(t)
				a := l.retaining(t, retention, nil)
				for range 60 {
					now = now.Add(time.Duration(random.IntN(100)) * time.Hour)
					var calls []string
					for range random.IntN(5) {
						who := fmt.Sprintf("u%d", random.IntN(5))
						switch random.IntN(8) {
						case 0:
							who = fmt.Sprintf("a%d", random.IntN(5))
						case 1: // a visitor says who he is: profiles merge
							who = fmt.Sprintf("a%d+%s", random.IntN(5), who)
						}
						calls = append(calls, fmt.Sprintf("%s %s %d", who, []string{"Bought", "Seen"}[random.IntN(2)], random.IntN(4)))
					}
					at := now
					if random.IntN(4) == 0 { // they come late, some of them later than anything is kept
						at = at.Add(-time.Duration(random.IntN(150*24)) * time.Hour)
					}
					l.ingestAt(t, now, at, calls...)
					if random.IntN(3) > 0 { // else the slots fall behind
						l.settle(t)
					}
					before := l.events(t)
					if err := a.Sweep(t.Context()); err != nil {
						t.Fatal(err)
					}
					dropped += before - l.events(t)
				}
				l.settle(t)
				if found := l.verify(t, engine.VerifyOptions{}); found != nil {
					t.Errorf("verify finds %v", found)
				}
				rows, err := l.pool.Query(t.Context(), `
					SELECT concat_ws(' ', c.key, v.profile_id, v.value, v.since) FROM computed_values v JOIN computations c USING (computation_id)
					UNION ALL SELECT concat_ws(' ', 'told', n.computation_id, g.profile_id, g.ids, g.value, g.told) FROM ledger g JOIN connections n USING (connection_id)
					ORDER BY 1`)
				if err != nil {
					t.Fatal(err)
				}
				if results[i], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(results[0], results[1]); diff != "" {
				t.Errorf("with everything kept (-) and with old events dropped (+):\n%s", diff)
			}
			if dropped < 10 || len(results[0]) < 30 {
				t.Errorf("%d events were dropped, %d lines compared: too few to show anything", dropped, len(results[0]))
			}
		})
	}
}
