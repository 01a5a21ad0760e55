package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"muster/bench/result"
)

// grown is a soak of which one table grows and all else is flat.
func grown() *soakReport {
	r := &soakReport{Report: &result.Report{About: "a soak <of a test>", Began: noon}}
	for i := range 40 {
		v := vitals{Minute: float64(i + 1), EventsPerSecond: 100, P50: 10, P99: 20, Longest: 30, MusterMemory: 50e6, Tables: map[string]storage{}}
		v.Tables["event log"] = storage{Heap: 6e6 * float64(i), Indexes: 1}
		v.Tables["computed"] = storage{Heap: 3e6}
		r.Looks = append(r.Looks, v)
	}
	r.Looks[7].Longest = 900
	return r
}

func TestWhatGrowsIsSeen(t *testing.T) {
	r := grown()
	r.conclude()
	found := make(map[string]result.Line)
	for _, l := range r.Lines {
		found[l.Measure] = l
	}
	if l := found["event log"]; math.Abs(l.Speed-35.0/15) > 0.01 {
		t.Errorf("the event log grew from the 15th to the 35th part, not %v times", l.Speed)
	}
	if l := found["computed"]; l.Speed != 1 {
		t.Errorf("states did not grow, and are said to be %v times what they were", l.Speed)
	}
	if l := found["growth of event log"]; math.Abs(l.Value-1000) > 1 {
		t.Errorf("the event log grew by 6 MB in a minute of 6,000 events, not by %v bytes an event", l.Value)
	}
	if l := found["longest answer"]; l.Value != 900 {
		t.Errorf("the longest answer took %v ms, want 900", l.Value)
	}
}

func TestGraphIsAPicture(t *testing.T) {
	picture := grown().draw()
	lines, d := 0, xml.NewDecoder(bytes.NewReader(picture))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, picture)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" && len(e.Attr) > 3 {
			lines++
		}
	}
	want := 0
	for _, c := range charts {
		want += len(c.lines)
	}
	if lines != want {
		t.Errorf("%d lines are drawn, want %d", lines, want)
	}
	if strings.Contains(string(picture), "NaN") || strings.Contains(string(picture), "<of a test>") {
		t.Errorf("a place is missing, or a text is not escaped:\n%s", picture)
	}
}

func TestScale(t *testing.T) {
	for most, want := range map[float64][2]float64{0: {1, 0.5}, 0.43: {0.5, 0.1}, 1: {1, 0.2}, 7.2: {8, 2}, 99: {100, 20}, 100: {100, 20}, 8040: {10_000, 2_000}} {
		top, step := scale(most)
		if math.Abs(top-want[0]) > 1e-9 || math.Abs(step-want[1]) > 1e-9 {
			t.Errorf("the axis of %v ends at %v with a mark every %v, want %v", most, top, step, want)
		}
	}
}

func TestMetricsAreRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "# HELP muster_queue_waiting What waits.\nmuster_queue_waiting{destination=\"mixpanel\"} 12\nmuster_queue_oldest_seconds{destination=\"mixpanel\"} 1.5e-01\n")
	}))
	defer server.Close()
	m, err := readMetrics(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if m[`muster_queue_waiting{destination="mixpanel"}`] != 12 || m[`muster_queue_oldest_seconds{destination="mixpanel"}`] != 0.15 {
		t.Errorf("read %v", m)
	}
}

// Requests that are not answered in time are an error, and not a flat line.
func TestSoakEndsIfNobodyKeepsUp(t *testing.T) {
	requests := make(chan due, 3)
	r := &run{batch: 2, users: 100, rate: 1000, soak: time.Minute}
	if err := r.feed(t.Context(), requests, time.Now()); err == nil || !strings.Contains(err.Error(), "does not keep up") {
		t.Errorf("got %v", err)
	}
}
