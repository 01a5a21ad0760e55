package query_test

import (
	"fmt"
	"testing"
	"time"

	"muster/query"
)

var order = &query.Event{Name: "Order Completed", Time: now, Source: "web", Properties: []byte(
	`{"order_id":"0198-77ab","revenue":129.95,"currency":"EUR","coupon":null,"shop":{"city":"Oslo","floor":2},` +
		`"products":[{"sku":"A1","qty":2,"price":30.5},{"sku":"B2","qty":1,"price":68.95}],"channel":"email","first":false}`)}

func BenchmarkMatch(b *testing.B) {
	for _, text := range []string{
		`event('Other').count()`,
		`event('Order Completed').count()`,
		`event('Order Completed').where(property('revenue') >= 50).within(14 days).count()`,
		`event('Order Completed').where(property('channel') = 'email' AND property('shop.city').one_of('Oslo', 'Bergen')).count()`,
		`event('Order Completed').where(property('products.$.sku') = 'B2').count()`,
	} {
		l := leafOf(b, text)
		b.Run(l.Text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Match(order)
			}
		})
	}
}

func BenchmarkValues(b *testing.B) {
	for _, text := range []string{
		`event('Order Completed').sum(property('revenue'))`,
		`event('Order Completed').last(property('channel'))`,
		`event('Order Completed').unique(property('products.$.sku'))`,
	} {
		l := leafOf(b, text)
		b.Run(l.Text, func(b *testing.B) {
			b.ReportAllocs()
			var vs []query.Value
			for b.Loop() {
				vs = l.AppendValues(vs[:0], order)
			}
		})
	}
}

func leafOf(b *testing.B, text string) *query.Leaf {
	return compile(b, text, query.CheckOptions{Purpose: query.Trait}).Leaves[0]
}

func BenchmarkEvalWith(b *testing.B) {
	d := compile(b, `event('Order Completed').within(30 days).count() >= 2 AND NOT event('Refunded').count() > 3
		AND (trait('plan') = 'pro' OR trait('ltv') > 500 OR trait('trial_ends').within_next(7 days))`, query.CheckOptions{})
	in := given{map[string]query.Value{}, traits(b, `{"plan":"team","ltv":120.5,"trial_ends":"2026-04-02"}`)}
	for _, l := range d.Leaves {
		in.leaves[l.Text] = query.Int(3)
	}
	b.ReportAllocs()
	for b.Loop() {
		d.EvalWith(in, now)
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		query.Compile(audiences[1].text, query.CheckOptions{})
	}
}

// A funnel over a long history is the dearest thing that the engine replays.
func BenchmarkFunnel(b *testing.B) {
	for _, text := range []string{
		`event('Held').where(event('Bought').within(parent: 1 day).count() >= 1).count()`,
		`event('Held').where(event('Bought').count() >= 1).count()`,
		`event('Held').where(event('Bought').where(property('sku') = property(parent: 'sku')).count() >= 1).count()`,
	} {
		l := leafOf(b, text)
		var p query.Profile
		for i := range 2000 {
			name := []string{"Held", "Bought"}[i%2]
			p.Events = append(p.Events, &query.Event{Name: name, Time: now.Add(time.Duration(i) * time.Hour), Properties: fmt.Appendf(nil, `{"sku":"%d"}`, i)})
		}
		b.Run(l.Text, func(b *testing.B) {
			for b.Loop() {
				l.Eval(p, now)
			}
		})
	}
}
