package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jackc/pgx/v5"

	"muster/mixpanel/mixpaneltest"
)

// table shows what became of each computation.
func (s *show) table(ctx context.Context) error {
	rows, err := s.store.Pool().Query(ctx, `
		SELECT c.kind, c.key, n.emit, coalesce(nullif(v.schedule, ''), 'realtime'),
			(SELECT count(*) FROM computed_values x WHERE x.computation_id = c.computation_id AND x.value NOT IN ('false', 'null')),
			(SELECT count(*) FROM value_changes x WHERE x.computation_id = c.computation_id AND x.value NOT IN ('false', 'null')),
			(SELECT count(*) FROM value_changes x WHERE x.computation_id = c.computation_id AND x.value IN ('false', 'null')),
			(SELECT coalesce(sum(told), 0) FROM ledger x WHERE x.connection_id = n.connection_id),
			(SELECT max(as_of) FROM runs r WHERE r.computation_id = c.computation_id)
		FROM computations c
		JOIN computation_versions v ON v.computation_id = c.computation_id AND v.version = c.version
		JOIN connections n ON n.computation_id = c.computation_id
		ORDER BY c.kind, c.computation_id`)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.env.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COMPUTATION\tKIND\tTOLD AS\tCOMPUTED\tHOLDS NOW\tENTERED OR CHANGED\tEXITED\tSENT\tLAST RUN")
	var kind, key, emit, schedule string
	var now, on, off, sent int64
	var last time.Time
	_, err = pgx.ForEachRow(rows, []any{&kind, &key, &emit, &schedule, &now, &on, &off, &sent, &last}, func() error {
		if schedule == "0 * * * *" {
			schedule = "hourly"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", key, kind, emit, schedule, now, on, off, sent, last.Format("2006-01-02 15:04"))
		return nil
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// customer shows one customer as Mixpanel holds it now.
func (s *show) customer(context.Context) error {
	p, ok := s.fake.Profile(mixpaneltest.DefaultToken, s.log.favourite)
	if !ok {
		return fmt.Errorf("the customer %s is not known to Mixpanel", s.log.favourite)
	}
	s.say("\nOne customer, as Mixpanel holds it now: %s", s.log.favourite)
	w := tabwriter.NewWriter(s.env.out, 0, 0, 2, ' ', 0)
	for _, key := range slices.Sorted(maps.Keys(p.Properties)) {
		value, err := json.Marshal(p.Properties[key])
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "  %s\t%s\n", key, value)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, e := range s.fake.Activity(mixpaneltest.DefaultToken, s.log.favourite) {
		s.say("  event %q at %s", e.Name, e.Time.UTC().Format("2006-01-02 15:04"))
	}
	return nil
}

// proof compares what Mixpanel holds with what the database says, id by id.
func (s *show) proof(ctx context.Context) error {
	rows, err := s.store.Pool().Query(ctx, `
		SELECT c.key, c.kind, n.emit, n.entered_event, e.id_value, v.value
		FROM computed_values v
		JOIN computations c USING (computation_id)
		JOIN connections n USING (computation_id)
		JOIN external_ids e ON e.bucket = v.bucket AND e.profile_id = v.profile_id
			AND (e.id_type = 'user_id' OR e.id_type = 'anonymous_id' AND c.include_anonymous)`)
	if err != nil {
		return err
	}
	want := make(map[string]map[string]any) // by key and id
	emits := make(map[string]string)
	var key, kind, emit, entered, id string
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&key, &kind, &emit, &entered, &id, &raw}, func() error {
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return err
		}
		if want[key] == nil {
			want[key] = make(map[string]any)
		}
		emits[key] = emit
		if value != nil {
			want[key][id] = value
		}
		return nil
	})
	if err != nil {
		return err
	}
	checked, wrong := 0, 0
	for _, key := range slices.Sorted(maps.Keys(want)) {
		var have map[string]any
		if emits[key] == "track" {
			have = s.fromEvents(key)
		} else {
			have = s.fake.AllProfileValues(mixpaneltest.DefaultToken, key)
		}
		for id, value := range want[key] {
			checked++
			if !sameJSON(value, have[id]) {
				wrong++
			}
		}
		for id := range have {
			if _, told := want[key][id]; !told {
				wrong++
			}
		}
	}
	var waiting int64
	if err := s.store.Pool().QueryRow(ctx, `SELECT count(*) FROM dead_letters WHERE resolution IS NULL`).Scan(&waiting); err != nil {
		return err
	}
	s.say("\nProof: %d values of external ids compared between the database and Mixpanel, %d differences; %d dead letters, %d violations of Mixpanel's rules, %d events sent twice.",
		checked, wrong, waiting, len(s.fake.Violations()),
		s.fake.EventCount(mixpaneltest.DefaultToken, mixpaneltest.Raw)-s.fake.EventCount(mixpaneltest.DefaultToken, mixpaneltest.Deduped))
	if wrong > 0 || waiting > 0 || len(s.fake.Violations()) > 0 {
		return errors.New("the proof failed")
	}
	return nil
}

// fromEvents is the membership that the audience's events tell, by id.
func (s *show) fromEvents(key string) map[string]any {
	have := make(map[string]any)
	at := make(map[string]time.Time)
	for _, e := range s.fake.Events(mixpaneltest.DefaultToken, mixpaneltest.Deduped) {
		value, ok := e.Properties[key]
		if ok && e.Properties["audience_key"] == key && !e.Time.Before(at[e.DistinctID]) {
			have[e.DistinctID], at[e.DistinctID] = value, e.Time
		}
	}
	return have
}

// sameJSON compares values that came from JSON by two ways.
func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	if errX != nil || errY != nil {
		return false
	}
	var u, v any
	return json.Unmarshal(x, &u) == nil && json.Unmarshal(y, &v) == nil && reflect.DeepEqual(u, v)
}
