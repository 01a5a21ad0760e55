package mixpanel

import "testing"

var benchCalls = []struct{ name, call string }{
	{"track", `{"type":"track","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","event":"Lesson Finished","userId":"u_77",
		"properties":{"course":"Go 101","minutes":42,"passed":true,"score":7.5}}`},
	{"track web context", `{"type":"track","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","event":"Lesson Finished","userId":"u_77","anonymousId":"3f0c2c8e-54b7-4a4e-9d55-0b8f0f6a1c11",
		"properties":{"course":"Go 101","minutes":42,"passed":true,"score":7.5},
		"context":{"ip":"203.0.113.9","library":{"name":"analytics.js","version":"2.11.1"},"page":{"url":"https://app.example/learn?x=1","referrer":"https://search.example/","path":"/learn"},
		"userAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.6613.84 Safari/537.36"}}`},
	{"track with revenue", `{"type":"track","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","event":"Order Completed","userId":"u_77","properties":{"revenue":39.95,"sku":"x1"}}`},
	{"page", `{"type":"page","messageId":"0b7c6a52-1d11-4f5c-8c1e-2f1a3d0e9b10","timestamp":"2026-03-10T11:58:30.250Z","name":"Pricing","userId":"u_77","properties":{"url":"https://shop.example/pricing","path":"/pricing"}}`},
	{"identify", `{"type":"identify","messageId":"m","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77","traits":{"plan":"pro","email":"a@x.example","firstName":"Ada","tags":["a","b"]}}`},
	{"identify computed", `{"type":"identify","messageId":"m","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77","traits":{"repeat_buyers_30d":true},
		"integrations":{"All":false,"Mixpanel":true},"context":{"active":false,"ip":0,"personas":{"computation_class":"audience","computation_key":"repeat_buyers_30d"}}}`},
	{"group", `{"type":"group","messageId":"m","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77","traits":{"company_id":"c1","name":"Acme","plan":"pro"}}`},
	{"alias", `{"type":"alias","messageId":"m","timestamp":"2026-03-10T11:58:30.250Z","userId":"u_77","previousId":"anon-55"}`},
}

// BenchmarkMap is the cost of mapping one call on one core.
func BenchmarkMap(b *testing.B) {
	m, err := NewMapper(Settings{Token: "tok_demo", ProjectID: "src_demo", GroupIdentifierTraits: []string{"company_id"}})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range benchCalls {
		call := readCall(b, c.call)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Map(call, testNow); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
