package main

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"muster/event"
	"muster/query"
)

func someTraffic() *Traffic {
	return &Traffic{Seed: 1, Profiles: 10_000, Start: historyStart, Hours: 24 * 10, Events: 50_000}
}

func TestTrafficIsTheSameForTheSameSeed(t *testing.T) {
	a, b := someTraffic(), someTraffic()
	if !reflect.DeepEqual(a.Hour(7), b.Hour(7)) {
		t.Error("the same hour differs")
	}
	b.Seed = 2
	if reflect.DeepEqual(a.Hour(7), b.Hour(7)) {
		t.Error("another seed makes no difference")
	}
}

func TestTrafficIsEvenInTimeAndNotAmongUsers(t *testing.T) {
	traffic := someTraffic()
	byProfile := make(map[int64]int)
	ids := make(map[string]bool)
	n := 0
	last := traffic.Start
	for hour := range traffic.Hours {
		for _, e := range traffic.Hour(hour) {
			if e.At.Before(last) || e.At.Before(traffic.Start.Add(time.Duration(hour)*time.Hour)) || !e.At.Before(traffic.Start.Add(time.Duration(hour+1)*time.Hour)) {
				t.Fatalf("hour %d has an event at %v after one at %v", hour, e.At, last)
			}
			last = e.At
			byProfile[e.Profile]++
			ids[e.MessageID] = true
			if e.Profile < 1 || e.Profile > int64(traffic.Profiles) || !json.Valid(e.Properties) || e.Context != nil && !json.Valid(e.Context) {
				t.Fatalf("%+v", e)
			}
			n++
		}
	}
	if n != traffic.Events || len(ids) != n {
		t.Errorf("%d events with %d message ids, want %d", n, len(ids), traffic.Events)
	}
	counts := make([]int, 0, len(byProfile))
	for _, c := range byProfile {
		counts = append(counts, c)
	}
	slices.Sort(counts)
	slices.Reverse(counts)
	busiest := 0
	for _, c := range counts[:traffic.Profiles/100] {
		busiest += c
	}
	if share := float64(busiest) / float64(n); share < 0.3 || share > 0.5 {
		t.Errorf("the busiest hundredth does %.2f of it", share)
	}
	if following := len(traffic.Hour(traffic.Hours + 5)); following < traffic.Events/traffic.Hours || following > traffic.Events/traffic.Hours+1 {
		t.Errorf("an hour after the history has %d events", following)
	}
}

// The benchmark of constant change stands on this: the hours that a step reads are not
// touched by additional history.
func TestExtraHistoryStaysOutOfTheEdges(t *testing.T) {
	h := &hourlyRun{profiles: 1000, steps: 3, seed: 1}
	few, many := h.traffic(22_080, 0), h.traffic(22_080, 100_000)
	read := make(map[int]bool)
	for step := range h.steps {
		read[few.Hours+step] = true
		for _, d := range windowed() {
			for _, p := range d.parts {
				read[few.Hours+step-24*p.days] = true // [slot-1h-window, slot-window)
			}
		}
	}
	total := 0
	for hour := range few.Hours + h.steps {
		a, b := len(few.Hour(hour)), len(many.Hour(hour))
		if read[hour] && a != b {
			t.Errorf("hour %d is read by a step and has %d events, or %d with more history", hour, a, b)
		}
		total += b - a
	}
	if total != 100_000 {
		t.Errorf("%d additional events", total)
	}
}

func TestGeneratedCallsAndDefinitionsAreTaken(t *testing.T) {
	kinds := make(map[event.Type]int)
	for hour := range 5 {
		for _, line := range lines(rand.New(rand.NewPCG(1, 1)), someTraffic().Hour(hour)) {
			call, err := event.Decode(line, event.Envelope{ReceivedAt: someTraffic().End()})
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			kinds[call.Type]++
		}
	}
	if kinds[event.Track] < 20*kinds[event.Identify] || kinds[event.Identify] == 0 {
		t.Errorf("kinds of calls: %v", kinds)
	}
	for _, set := range definitionSets() {
		for _, d := range set.defs {
			def := d.engine()
			compiled, diagnostics := query.Compile(def.Query, query.CheckOptions{Purpose: def.Kind})
			if compiled == nil {
				t.Errorf("%s: %s", d.key, diagnostics.Render())
			} else if scheduled := compiled.Class == query.Scheduled; scheduled != (d.parts[0].days > 0) {
				t.Errorf("%s: scheduled %v", d.key, scheduled)
			}
		}
	}
	if n := len(windowed()); n != 30 {
		t.Errorf("%d windowed definitions", n)
	}
	if n := len(realtime()); n != 10 {
		t.Errorf("%d realtime definitions", n)
	}
}
