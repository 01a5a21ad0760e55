package main

import (
	"bytes"
	"testing"
	"time"

	"muster/event"
	"muster/store"
)

func TestDeadLettersTellForwardedCallsApart(t *testing.T) {
	var out bytes.Buffer
	env := &environment{out: &out}
	died := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	err := env.printLetters([]store.DeadLetter{
		{ID: 2, Destination: "mp", Key: "pros", Kind: store.KindRejected, IDs: "user:u", Value: "true", Reason: "because", DiedAt: died},
		{ID: 1, Destination: "mp", Forwarded: true, Kind: store.KindUncertain, IDs: "user:u", Reason: "lost", DiedAt: died, Call: &store.SampleCall{Type: event.Track, Event: "Order Completed"}},
		{ID: 0, Destination: "mp", Forwarded: true, Kind: store.KindGaveUp, IDs: "anon:a", Reason: "late", DiedAt: died, Call: &store.SampleCall{Type: event.Identify}},
	}, "csv")
	if err != nil {
		t.Fatal(err)
	}
	const want = `id,died_at,destination,computation,kind,ids,value,reason
2,2026-03-01T12:00:00Z,mp,pros,rejected,user:u,true,because
1,2026-03-01T12:00:00Z,mp,(forwarded),uncertain,user:u,track Order Completed,lost
0,2026-03-01T12:00:00Z,mp,(forwarded),gave_up,anon:a,identify,late
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
