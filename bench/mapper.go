package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/bench/result"
	"muster/event"
	"muster/mixpanel"
)

// mapped are the calls whose mapping is measured, as a library or the engine sends them.
var mapped = []struct{ name, call string }{
	{"track", `{"type":"track","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","event":"Lesson Finished","userId":"u_77",
		"properties":{"course":"Go 101","minutes":42,"passed":true,"score":7.5}}`},
	{"track, context of a browser", `{"type":"track","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","event":"Lesson Finished",
		"userId":"u_77","anonymousId":"3f0c2c8e-54b7-4a4e-9d55-0b8f0f6a1c11","properties":{"course":"Go 101","minutes":42,"passed":true,"score":7.5},
		"context":{"ip":"203.0.113.9","library":{"name":"analytics.js","version":"2.11.1"},"page":{"url":"https://app.example/learn?x=1","referrer":"https://search.example/","path":"/learn"},
		"userAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.6613.84 Safari/537.36"}}`},
	{"track, revenue and increments", `{"type":"track","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","event":"Order Completed",
		"userId":"u_77","properties":{"revenue":39.95,"items":2}}`},
	{"page", `{"type":"page","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","name":"Pricing","userId":"u_77",
		"properties":{"url":"https://shop.example/pricing","path":"/pricing"}}`},
	{"screen", `{"type":"screen","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","name":"Home","userId":"u_77",
		"context":{"os":{"name":"iOS","version":"19.1"},"device":{"type":"ios","model":"iPhone17,1"},"app":{"version":"3.2.0","build":"812"}}}`},
	{"identify", `{"type":"identify","messageId":"m","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77",
		"traits":{"plan":"pro","email":"a@x.example","firstName":"Ada","tags":["a","b"]}}`},
	{"identify, computed", `{"type":"identify","messageId":"m","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77","traits":{"repeat_buyers_30d":true,"email":"a@x.example"},
		"integrations":{"All":false,"Mixpanel":true},"context":{"active":false,"ip":0,"personas":{"computation_class":"audience","computation_key":"repeat_buyers_30d"}}}`},
	{"track, computed", `{"type":"track","messageId":"m","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77","event":"Audience Entered",
		"properties":{"audience_key":"repeat_buyers_30d","repeat_buyers_30d":true},"integrations":{"All":false,"Mixpanel":true},
		"context":{"active":false,"ip":0,"traits":{"email":"a@x.example"},"personas":{"computation_class":"audience","computation_key":"repeat_buyers_30d"}}}`},
	{"group", `{"type":"group","messageId":"m","groupId":"c1","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77","traits":{"company_id":"c1","name":"Acme","plan":"pro"}}`},
	{"alias", `{"type":"alias","messageId":"m","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77","previousId":"anon-55"}`},
}

func mapperFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	span := set.Duration("for", time.Second, "how long each call is mapped")
	return func(_ context.Context, b *bench) error { return mapper(b, *span) }
}

// mapper maps each call again and again on one core, and for comparison decodes and
// encodes the same JSON, which a mapping by maps has to do too.
func mapper(b *bench, span time.Duration) error {
	m, err := mixpanel.NewMapper(mixpanel.Settings{
		Token: "bench", ProjectID: "bench", GroupIdentifierTraits: []string{"company_id"},
		EventIncrements: []string{"Order Completed"}, PropIncrements: []string{"items"},
	})
	if err != nil {
		return err
	}
	received := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for _, c := range mapped {
		text := jsontext.Value(c.call)
		if err := text.Compact(); err != nil {
			return err
		}
		call, err := event.Decode(text, event.Envelope{ReceivedAt: received})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		messages, err := m.Map(call, received)
		if err != nil || len(messages) == 0 {
			return fmt.Errorf("%s: %d messages, %w", c.name, len(messages), err)
		}
		mapping := repeat(span, func() { _, err = m.Map(call, received) })
		if err != nil {
			return err
		}
		var into any
		decoding := repeat(span/4, func() {
			into = nil
			err = json.Unmarshal(text, &into)
			if err == nil {
				_, err = json.Marshal(into)
			}
		})
		if err != nil {
			return err
		}
		b.report.Add(result.Line{Case: c.name, Measure: "mapped", Value: mapping.perSecond, Unit: "calls/s", Baseline: "json into any and back", Against: decoding.perSecond})
		b.report.Add(result.Line{Case: c.name, Measure: "allocated", Value: mapping.bytes, Unit: "B/call", Baseline: "json into any and back", Against: decoding.bytes})
		b.report.Add(result.Line{Case: c.name, Measure: "allocations", Value: mapping.allocations, Unit: "allocs/call", Baseline: "json into any and back", Against: decoding.allocations})
		b.say("%s: %s calls/s", c.name, result.Number(mapping.perSecond))
	}
	b.report.Note("One goroutine. calls/s are by processor time where the system tells it, so that other programs do not count. The mapper gets calls that are decoded already; the baseline " +
		"decodes the call's JSON into maps and encodes them again, which is what a mapping by maps does besides mapping.")
	return nil
}

// cost is what one run of something costs.
type cost struct{ perSecond, bytes, allocations float64 }

// repeat runs f for about span.
func repeat(span time.Duration, f func()) cost {
	f()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, began, used := 0, time.Now(), ownCPU()
	for step := 16; time.Since(began) < span; step = min(2*step, 4096) {
		for range step {
			f()
		}
		n += step
	}
	took := time.Since(began)
	if own := ownCPU() - used; own > 0 && own < took {
		took = own
	}
	runtime.ReadMemStats(&after)
	return cost{
		perSecond:   float64(n) / took.Seconds(),
		bytes:       float64(after.TotalAlloc-before.TotalAlloc) / float64(n),
		allocations: float64(after.Mallocs-before.Mallocs) / float64(n),
	}
}
