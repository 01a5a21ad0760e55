package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// names are the events of the generated traffic, with how many of a hundred they are.
var names = []struct {
	name  string
	share int
}{
	{"Product Viewed", 40},
	{"Article Read", 22},
	{"Product Added", 14},
	{"Signed In", 10},
	{"Order Completed", 8},
	{"Products Searched", 4},
	{"Subscription Changed", 2},
}

// Traffic is what the users of a shop do, hour by hour: the same for the same fields.
// Few users do much and many do little, by Zipf's law: of 1,000,000 users the busiest
// hundredth does two fifths of it, the busiest one 0.02 %.
type Traffic struct {
	Seed     uint64
	Profiles int       // users; they have the numbers from 1
	Start    time.Time // of hour 0
	Hours    int       // of history
	Events   int       // in these hours, evenly; the hours that follow are like them

	// Extra events are spread over the hours of history that are not Quiet.
	Extra int
	Quiet func(hour int) bool
}

// Event is something a user did.
type Event struct {
	Profile    int64
	Name       int // in names
	At         time.Time
	MessageID  string
	Properties []byte // JSON
	Context    []byte // JSON, nil for calls of servers
}

// End is when the history ends.
func (t *Traffic) End() time.Time { return t.Start.Add(time.Duration(t.Hours) * time.Hour) }

// Hour is what happens in an hour, in the order of time. Hours from Hours on come after
// the history.
func (t *Traffic) Hour(h int) []Event {
	n := (h+1)*t.Events/t.Hours - h*t.Events/t.Hours + t.extraIn(h)
	r := rand.New(rand.NewPCG(t.Seed, uint64(h)))
	zipf := rand.NewZipf(r, 1.1, 1+float64(t.Profiles)/1000, uint64(t.Profiles-1))
	events := make([]Event, n)
	start := t.Start.Add(time.Duration(h) * time.Hour)
	step := time.Hour / time.Duration(max(n, 1))
	for i := range events {
		at := start.Add(time.Duration(i)*step + time.Duration(r.Int64N(int64(step)))).Truncate(time.Millisecond)
		events[i] = newEvent(r, int64(zipf.Uint64())+1, at)
	}
	return events
}

func (t *Traffic) extraIn(h int) int {
	if t.Extra == 0 || h >= t.Hours || t.Quiet(h) {
		return 0
	}
	loud, before := 0, 0
	for i := range t.Hours {
		if t.Quiet(i) {
			continue
		}
		if i < h {
			before++
		}
		loud++
	}
	return (before+1)*t.Extra/loud - before*t.Extra/loud
}

var (
	categories = []string{"Shoes", "Coats", "Shirts", "Bags", "Hats", "Garden", "Kitchen", "Toys", "Books", "Music"}
	countries  = []string{"DE", "DE", "DE", "US", "US", "US", "US", "FR", "FR", "GB", "GB", "NL", "ES", "IT", "PL", "SE"}
	plans      = []string{"free", "free", "free", "free", "free", "free", "free", "pro", "pro", "enterprise"}
	methods    = []string{"password", "password", "google", "apple"}
	coupons    = []string{"", "", "", "SPRING10", "WELCOME"}
	agents     = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
	}
)

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// country and plan are a user's for good.
func country(profile int64) string { return countries[profile*7%int64(len(countries))] }
func plan(profile int64) string    { return plans[profile*3%int64(len(plans))] }

func userID(profile int64) string      { return fmt.Sprintf("u-%08d", profile) }
func anonymousID(profile int64) string { return fmt.Sprintf("a-%08d-7c1e-4b0e", profile) }
func email(profile int64) string       { return fmt.Sprintf("user%d@example.com", profile) }

func newEvent(r *rand.Rand, profile int64, at time.Time) Event {
	e := Event{Profile: profile, At: at, MessageID: messageID(r)}
	for share := r.IntN(100); share >= names[e.Name].share; e.Name++ {
		share -= names[e.Name].share
	}
	b := make([]byte, 0, 320)
	switch names[e.Name].name {
	case "Product Viewed":
		b = product(r, append(b, '{'))
	case "Product Added":
		b = fmt.Appendf(product(r, append(b, '{')), `,"quantity":%d`, 1+r.IntN(3))
	case "Article Read":
		b = fmt.Appendf(b, `{"article":"how-to-%d","section":%q,"seconds":%d`, r.IntN(400), pick(r, categories), r.IntN(600))
	case "Signed In":
		b = fmt.Appendf(b, `{"method":%q`, pick(r, methods))
	case "Products Searched":
		b = fmt.Appendf(b, `{"query":"%s %d","results":%d`, pick(r, categories), r.IntN(100), r.IntN(50))
	case "Subscription Changed":
		b = fmt.Appendf(b, `{"from":%q,"revenue":%d.00`, pick(r, plans), 10*r.IntN(30))
	case "Order Completed":
		b = order(r, b)
	}
	e.Properties = fmt.Appendf(b, `,"country":%q,"plan":%q}`, country(profile), plan(profile))
	if r.IntN(2) == 0 {
		page := r.IntN(1000)
		e.Context = fmt.Appendf(nil, `{"library":{"name":"analytics.js","version":"2.11.1"},"locale":"en-US","page":{"path":"/p/%d","url":"https://shop.example/p/%d"},"userAgent":%q}`,
			page, page, pick(r, agents))
	}
	return e
}

func product(r *rand.Rand, b []byte) []byte {
	return fmt.Appendf(b, `"product_id":"sku-%d","category":%q,"price":%s,"currency":"EUR"`, r.IntN(2000), pick(r, categories), price(r, 5, 150))
}

func order(r *rand.Rand, b []byte) []byte {
	b = fmt.Appendf(b, `{"order_id":"o-%d","revenue":%s,"currency":"EUR","coupon":%q,"products":[`, r.IntN(1e9), price(r, 10, 500), pick(r, coupons))
	for i := range 1 + r.IntN(4) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(product(r, append(b, '{')), '}')
	}
	return append(b, ']')
}

// price is an amount with cents: low ones are commoner.
func price(r *rand.Rand, low, high float64) string {
	x := r.Float64()
	return strconv.FormatFloat(low+(high-low)*x*x, 'f', 2, 64)
}

// messageID is a random UUID, as Segment's libraries make them.
func messageID(r *rand.Rand) string {
	a, b := r.Uint64(), r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}
