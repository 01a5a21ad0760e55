package crash_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/mixpanel/mixpaneltest"
)

// check compares what is stored, computed and told with what the clients were answered.
func check(t *testing.T, database string, fake *mixpaneltest.Server, requests []*request) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	stored, err := storedTimes(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, requests, stored)
	orders, err := ordersByUser(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	checkComputed(t, ctx, conn, orders)
	checkTold(t, fake, orders)
}

// storedTimes is how often each message is in the event log.
func storedTimes(ctx context.Context, conn *pgx.Conn) (map[string]int, error) {
	rows, err := conn.Query(ctx, `SELECT message_id, count(*) FROM muster.events GROUP BY message_id`)
	if err != nil {
		return nil, err
	}
	stored := make(map[string]int)
	var id string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		stored[id] = n
		return nil
	})
	return stored, err
}

// checkStored holds the event log to the answers: exactly once if a request was answered
// 200, else all of it or nothing.
func checkStored(t *testing.T, requests []*request, stored map[string]int) {
	t.Helper()
	var answered, calls, again, refused, broken, repeated, kept, missing, doubled, halves int
	for _, q := range requests {
		present := 0
		for _, id := range q.ids {
			switch n := stored[id]; {
			case n > 1:
				doubled++
			case n == 1:
				present++
			case q.answered:
				missing++
			}
			delete(stored, id)
		}
		refused, broken, repeated = refused+q.refused, broken+q.broken, repeated+q.repeated
		switch {
		case q.answered:
			answered++
			calls += len(q.ids)
			if q.refused+q.broken > 0 {
				again++
			}
		case present == len(q.ids):
			kept++
		case present > 0:
			halves++
		}
	}
	t.Logf("%d requests, %d of them answered 200 (%d after a failure) with %d calls; %d tries refused, %d broken off; %d repeated; %d given up of which %d had been stored",
		len(requests), answered, again, calls, refused, broken, repeated, len(requests)-answered, kept)
	if missing+doubled+halves+len(stored) > 0 {
		t.Errorf("%d calls answered 200 are missing, %d calls are stored twice, %d requests are half stored, %d events were never sent",
			missing, doubled, halves, len(stored))
	}
	if calls == 0 || broken == 0 || repeated == 0 {
		t.Errorf("the test shows nothing: %d calls answered, %d tries broken off, %d repeated", calls, broken, repeated)
	}
}

func ordersByUser(ctx context.Context, conn *pgx.Conn) (map[string]int, error) {
	rows, err := conn.Query(ctx, `
		SELECT x.id_value, count(*) FROM muster.events e JOIN muster.external_ids x USING (bucket, profile_id)
		WHERE x.id_type = 'user_id' GROUP BY x.id_value`)
	if err != nil {
		return nil, err
	}
	orders := make(map[string]int)
	var user string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&user, &n}, func() error {
		orders[user] = n
		return nil
	})
	return orders, err
}

// checkComputed holds the computed trait to the event log: both are written by the same
// transactions.
func checkComputed(t *testing.T, ctx context.Context, conn *pgx.Conn, orders map[string]int) {
	t.Helper()
	rows, err := conn.Query(ctx, `
		SELECT x.id_value, v.value FROM muster.computed_values v JOIN muster.external_ids x USING (bucket, profile_id)
		WHERE x.id_type = 'user_id'`)
	if err != nil {
		t.Fatal(err)
	}
	computed := make(map[string]int)
	var user string
	var value []byte
	_, err = pgx.ForEachRow(rows, []any{&user, &value}, func() error {
		var n int
		if err := json.Unmarshal(value, &n); err != nil {
			return err
		}
		computed[user] = n
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(computed) != len(orders) {
		t.Errorf("%d users have orders, %d a computed number of them", len(orders), len(computed))
	}
	for user, n := range orders {
		if computed[user] != n {
			t.Errorf("%s has %d orders, computed are %d", user, n, computed[user])
		}
	}
}

// checkTold waits until Mixpanel holds what is computed.
func checkTold(t *testing.T, fake *mixpaneltest.Server, orders map[string]int) {
	t.Helper()
	differs := func() string {
		for user, n := range orders {
			p, _ := fake.Profile(mixpaneltest.DefaultToken, user)
			if got := p.Properties["orders"]; got != float64(n) {
				return fmt.Sprintf("%s has %d orders, Mixpanel says %v", user, n, got)
			}
		}
		return ""
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		what := differs()
		if what == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Error(what)
			break
		}
	}
	for _, v := range fake.Violations() {
		t.Errorf("Mixpanel's rules were broken: %v", v)
	}
}
