package event

import (
	"fmt"
	"strings"
	"testing"
)

const orderCompleted = `{"type":"track","messageId":"or-536365","userId":"c-17850","event":"Order Completed",` +
	`"timestamp":"2025-12-01T08:26:00Z","properties":{"order_id":"536365","revenue":139.12,"currency":"GBP",` +
	`"country":"United Kingdom","units":40},"context":{"library":{"name":"analytics-go","version":"3.0.0"}}}`

func BenchmarkDecodeTrack(b *testing.B) {
	raw := []byte(orderCompleted)
	env := envelope()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw, env); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeBatch(b *testing.B) {
	const size = 100
	raw := []byte(`{"batch":[` + strings.Repeat(orderCompleted+",", size-1) + orderCompleted + `],"sentAt":"2026-03-01T12:00:00Z","context":{"app":{"name":"shop"}}}`)
	env := envelope()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		got, err := DecodeBatch(raw, env)
		if err != nil || len(got.Calls) != size {
			b.Fatal(len(got.Calls), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/call")
}

// wide is the inside of an object of n members.
func wide(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%s%d":1`, prefix, i)
	}
	return b.String()[1:]
}

// BenchmarkRefuse is the price of hostile text.
func BenchmarkRefuse(b *testing.B) {
	for name, text := range map[string]string{
		"deep":      strings.Repeat("[", DefaultMaxBatchBytes),
		"zeros":     `{"batch":[` + strings.Repeat("0,", DefaultMaxBatchBytes/2-20) + `0]}`,
		"keys":      `{"batch":[{` + strings.Repeat(`"\u0061":1,`, 2_900) + `"b":1}]}`,
		"backslash": `{"batch":["` + strings.Repeat(`\\`, DefaultMaxBatchBytes/2-20) + `"]}`,
		"merge":     `{"context":{` + wide("a", 1_400) + `},"batch":[` + strings.Repeat(`{"context":{`+wide("b", 1_400)+`}},`, 30) + `0]}`,
		"escapes":   `{"batch":["` + strings.Repeat(`\\u0000`, 4_000) + `"]}`,
	} {
		b.Run(name, func(b *testing.B) {
			raw := []byte(text)
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if got, err := DecodeBatch(raw, envelope()); err == nil && len(got.Calls) > 0 {
					b.Fatal("taken")
				}
			}
		})
	}
}
