package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// writeKeys are those of the sources in muster.yaml. Requests are spread over them, so
// that the rate of one source is no limit. The header's key wins over the body's.
var writeKeys = []string{"load-web", "load-app", "load-shop", "load-mail"}

// kinds are the events that are sent, with how many of a hundred they are.
var kinds = []struct {
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

// shop makes up what its users do: few do much and many do little, by Zipf's law.
type shop struct {
	r     *rand.Rand
	zipf  *rand.Zipf
	users int
}

func newShop(seed uint64, users int) *shop {
	r := rand.New(rand.NewPCG(seed, 0))
	return &shop{r: r, users: users, zipf: rand.NewZipf(r, 1.1, 1+float64(users)/1000, uint64(users-1))}
}

// batch is the body of a request with n events, as Segment's library for Node.js sends it.
func (s *shop) batch(n int, now time.Time) []byte {
	return envelope(n, now, func(b []byte, _ int) []byte { return s.serverCall(b, now) })
}

// envelope is the body of a batch request with n calls.
func envelope(n int, now time.Time, call func(b []byte, i int) []byte) []byte {
	b := append(make([]byte, 0, n*600), `{"batch":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = call(b, i)
	}
	b = append(b, `],"writeKey":"`...)
	b = append(b, writeKeys[0]...)
	b = append(b, `","sentAt":"`...)
	return append(stamp(b, now), `"}`...)
}

// serverCall is a track call in a batch.
func (s *shop) serverCall(b []byte, now time.Time) []byte {
	b = stamp(append(b, `{"timestamp":"`...), now)
	b = append(b, `","integrations":{},"type":"track",`...)
	b = s.event(b)
	if s.r.IntN(5) < 2 {
		b = s.browserContext(b)
	} else {
		b = append(b, `,"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}}`...)
	}
	b = fmt.Appendf(b, `,"messageId":"node-next-%d-%s"`, now.UnixMilli(), s.uuid())
	return append(b, `,"_metadata":{"nodeVersion":"v20.20.2","jsRuntime":"node"}}`...)
}

// single is the body of a request with one event, as Segment's library for browsers
// sends it to /v1/t.
func (s *shop) single(now time.Time) []byte {
	b := stamp(append(make([]byte, 0, 1_200), `{"timestamp":"`...), now)
	b = append(b, `","integrations":{"Segment.io":true},"type":"track",`...)
	b = s.browserContext(s.event(b))
	b = fmt.Appendf(b, `,"messageId":"ajs-next-%d-%s","writeKey":%q,"sentAt":"`, now.UnixMilli(), s.uuid(), writeKeys[0])
	b = stamp(b, now)
	return append(b, `","_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}`...)
}

// introduction is the body of a request by which n users, from the first, become known.
func introduction(first, n int, now time.Time) []byte {
	return envelope(n, now, func(b []byte, i int) []byte {
		user := first + i
		return fmt.Appendf(b, `{"type":"identify","messageId":"known-%d","userId":"u-%08d","anonymousId":"a-%08d-7c1e-4b0e","traits":{"email":"user%d@example.com","plan":%q,"country":%q}}`,
			user, user, user, user, plan(user), country(user))
	})
}

// stamp appends a time as libraries write it.
func stamp(b []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

var (
	categories = []string{"Shoes", "Coats", "Shirts", "Bags", "Hats", "Garden", "Kitchen", "Toys", "Books", "Music"}
	countries  = []string{"DE", "DE", "US", "US", "US", "FR", "GB", "NL", "ES", "IT"}
	plans      = []string{"free", "free", "free", "free", "free", "free", "pro", "pro", "enterprise"}
	methods    = []string{"password", "password", "google", "apple"}
	coupons    = []string{"", "", "", "SPRING10", "WELCOME"}
)

func (s *shop) pick(from []string) string { return from[s.r.IntN(len(from))] }

// country and plan are a user's for good.
func country(user int) string { return countries[user*7%len(countries)] }
func plan(user int) string    { return plans[user*5%len(plans)] }

// event appends who did what: the ids, the name and the properties.
func (s *shop) event(b []byte) []byte {
	user := int(s.zipf.Uint64())
	b = fmt.Appendf(b, `"userId":"u-%08d",`, user)
	if s.r.IntN(5) < 2 {
		b = fmt.Appendf(b, `"anonymousId":"a-%08d-7c1e-4b0e",`, user)
	}
	kind := 0
	for share := s.r.IntN(100); share >= kinds[kind].share; kind++ {
		share -= kinds[kind].share
	}
	b = fmt.Appendf(b, `"event":%q,"properties":{"country":%q,"plan":%q,`, kinds[kind].name, country(user), plan(user))
	switch kinds[kind].name {
	case "Product Viewed":
		b = s.product(b)
	case "Product Added":
		b = fmt.Appendf(s.product(b), `,"quantity":%d`, 1+s.r.IntN(3))
	case "Article Read":
		b = fmt.Appendf(b, `"article":"how-to-%d","section":%q,"seconds":%d`, s.r.IntN(400), s.pick(categories), s.r.IntN(600))
	case "Signed In":
		b = fmt.Appendf(b, `"method":%q`, s.pick(methods))
	case "Products Searched":
		b = fmt.Appendf(b, `"query":"%s %d","results":%d`, s.pick(categories), s.r.IntN(100), s.r.IntN(50))
	case "Subscription Changed":
		b = fmt.Appendf(b, `"from":%q,"revenue":%d.00`, s.pick(plans), 10*s.r.IntN(30))
	case "Order Completed":
		b = fmt.Appendf(b, `"order_id":"o-%d","revenue":%s,"currency":"EUR","coupon":%q,"products":[`, s.r.IntN(1e9), s.price(10, 500), s.pick(coupons))
		for i := range 1 + s.r.IntN(4) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(s.product(append(b, '{')), '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (s *shop) product(b []byte) []byte {
	return fmt.Appendf(b, `"product_id":"sku-%d","category":%q,"price":%s,"currency":"EUR"`, s.r.IntN(2000), s.pick(categories), s.price(5, 150))
}

// price is an amount with cents: low ones are commoner.
func (s *shop) price(low, high float64) string {
	x := s.r.Float64()
	return strconv.FormatFloat(low+(high-low)*x*x, 'f', 2, 64)
}

func (s *shop) browserContext(b []byte) []byte {
	page := s.r.IntN(1000)
	return fmt.Appendf(b, `,"context":{"page":{"path":"/p/%d","referrer":"","search":"","title":"Product %d","url":"https://shop.example/p/%d"},`+
		`"userAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",`+
		`"locale":"en-US","library":{"name":"analytics.js","version":"npm:next-1.84.3"},"timezone":"Europe/Berlin"}`, page, page, page)
}

func (s *shop) uuid() string {
	a, b := s.r.Uint64(), s.r.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0xfff, b&0xffffffffffff)
}
