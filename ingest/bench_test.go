package ingest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const soldHere = `{"type":"track","messageId":"or-%d","userId":"c-17850","event":"Order Completed","timestamp":"2025-12-01T08:26:00Z",` +
	`"properties":{"order_id":"536365","revenue":139.12,"currency":"GBP","country":"United Kingdom","units":40}}`

// sold is n order events.
func sold(n int, separator string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(separator)
		}
		fmt.Fprintf(&b, soldHere, i)
	}
	return b.String()
}

// nowhere takes everything at no cost.
var nowhere = sinkFunc(func(items []Item) ([]Result, error) { return make([]Result, len(items)), nil })

// BenchmarkBatchRequest is the cost of a request with 100 calls, without network and storage.
func BenchmarkBatchRequest(b *testing.B) {
	collector := NewCollector(nowhere, CollectorConfig{Wait: time.Microsecond})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- collector.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	api, err := NewAPI(APIConfig{
		Sources: keys{"wk1": {ID: 1, Rate: 1e9}}, Collector: collector,
		Now: func() time.Time { return noon },
	})
	if err != nil {
		b.Fatal(err)
	}
	body := `{"batch":[` + sold(100, ",") + `],"sentAt":"2026-03-01T12:00:00Z"}`
	_, credentials, _ := strings.Cut(basic("wk1"), ": ")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/batch", strings.NewReader(body))
		r.Header.Set("Authorization", credentials)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// BenchmarkImport is the cost of reading and decoding a file.
func BenchmarkImport(b *testing.B) {
	const lines = 50_000
	text := sold(lines, "\n")
	for name, file := range map[string]string{"plain": text, "gzip": zip(text)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				im := Import{Sink: nowhere, SourceID: 1, Now: func() time.Time { return noon }}
				if sum, err := im.Run(context.Background(), strings.NewReader(file)); err != nil || sum.Accepted != lines {
					b.Fatal(sum, err)
				}
			}
			b.ReportMetric(lines*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
