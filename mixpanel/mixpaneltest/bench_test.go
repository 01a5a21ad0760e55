package mixpaneltest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"

	"muster/mixpanel/mixpaneltest"
)

// BenchmarkServer measures whole requests of 200 or 2000 records over loopback;
// the sender's share of the work is included. Records per second are of all cores.
func BenchmarkServer(b *testing.B) {
	for _, c := range []struct {
		name, path string
		records    int
		record     func(i int) string
	}{
		{"engage-200", "/engage?ip=0&verbose=1", 200, func(i int) string {
			return fmt.Sprintf(`{"$token":"%s","$distinct_id":"user-%d","$ip":0,"$ignore_time":true,"$time":1795521600000,"$set":{"big_spenders":true}}`, token, i)
		}},
		{"engage-2000", "/engage?ip=0&verbose=1", 2000, func(i int) string {
			return fmt.Sprintf(`{"$token":"%s","$distinct_id":"user-%d","$ip":0,"$ignore_time":true,"$time":1795521600000,"$set":{"big_spenders":true}}`, token, i)
		}},
		{"import-2000", "/import?strict=1", 2000, func(i int) string {
			return fmt.Sprintf(`{"event":"Audience Entered","properties":{"token":"%s","distinct_id":"user-%d","$user_id":"user-%d","time":1795521600000,`+
				`"$insert_id":"92322da4-9fad-581d-9be4-%012d","ip":0,"mp_lib":"Segment: muster","audience_key":"big_spenders","big_spenders":true,"$email":"u%d@example.com"}}`, token, i, i, i, i)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := mixpaneltest.Start(b, mixpaneltest.Options{Now: at(noon), KeepEvents: 100_000})
			const batches = 50
			var bodies [batches][]byte
			for k := range bodies {
				var buf bytes.Buffer
				for i := range c.records {
					buf.WriteString(map[bool]string{true: "[", false: ","}[i == 0])
					buf.WriteString(c.record(k*c.records + i))
				}
				buf.WriteByte(']')
				bodies[k] = buf.Bytes()
			}
			b.SetBytes(int64(len(bodies[0])))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL()+c.path, bytes.NewReader(bodies[n%batches]))
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				r.SetBasicAuth(token, "")
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					b.Fatal(res.Status)
				}
			}
			b.ReportMetric(float64(b.N*c.records)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkAllProfileValues compares one property of 100,000 profiles, and shows
// what such a profile costs to hold.
func BenchmarkAllProfileValues(b *testing.B) {
	s := mixpaneltest.Start(b, mixpaneltest.Options{Now: at(noon)})
	const profiles = 100_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := 0; i < profiles; i += 2000 {
		var buf bytes.Buffer
		for k := range 2000 {
			fmt.Fprintf(&buf, `%s{"$token":"%s","$distinct_id":"user-%d","$ip":0,"$set":{"big_spenders":true,"orders":%d}}`,
				map[bool]string{true: "[", false: ","}[k == 0], token, i+k, k)
		}
		buf.WriteByte(']')
		res, err := http.Post(s.URL()+"/engage?ip=0", "application/json", &buf)
		if err != nil {
			b.Fatal(err)
		}
		res.Body.Close()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(s.AllProfileValues(token, "big_spenders")); n != profiles {
			b.Fatal(n)
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/profiles, "B/profile")
}
