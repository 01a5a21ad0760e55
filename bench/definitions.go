package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"muster/engine"
	"muster/query"
)

// filter is a condition on an event in both languages; the zero one holds for all.
type filter struct{ query, sql string }

var (
	anyEvent  = filter{}
	dear      = filter{`property('price') > 60`, `(properties->>'price')::numeric > 60`}
	shoes     = filter{`property('category') = 'Shoes'`, `properties->>'category' = 'Shoes'`}
	paying    = filter{`property('plan').one_of('pro', 'enterprise')`, `properties->>'plan' IN ('pro', 'enterprise')`}
	germany   = filter{`property('country') = 'DE'`, `properties->>'country' = 'DE'`}
	large     = filter{`property('revenue') >= 200`, `(properties->>'revenue')::numeric >= 200`}
	reduced   = filter{`property('coupon') != ''`, `properties->>'coupon' <> ''`}
	social    = filter{`property('method').one_of('google', 'apple')`, `properties->>'method' IN ('google', 'apple')`}
	longReads = filter{`property('seconds') >= 60 AND property('section') != 'Toys'`, `(properties->>'seconds')::numeric >= 60 AND properties->>'section' <> 'Toys'`}
)

// part is one event(...) chain: in our language, and as an aggregate over events.
type part struct {
	event   string
	filter  filter
	days    int    // of the window; 0: none
	reducer string // count, or op:property
}

// query is the chain in the definition language.
func (p part) query() string {
	q := fmt.Sprintf("event('%s')", p.event)
	if p.filter.query != "" {
		q += ".where(" + p.filter.query + ")"
	}
	if p.days > 0 {
		q += fmt.Sprintf(".within(%d days)", p.days)
	}
	op, property, _ := strings.Cut(p.reducer, ":")
	switch op {
	case "count":
		return q + ".count()"
	case "distinct":
		return q + fmt.Sprintf(".unique(property('%s')).count()", property)
	}
	return q + fmt.Sprintf(".%s(property('%s'))", op, property)
}

// aggregate is the reducer in SQL.
func (p part) aggregate() string {
	op, property, _ := strings.Cut(p.reducer, ":")
	number := fmt.Sprintf("(properties->>'%s')::numeric", property)
	switch op {
	case "count":
		return "count(*)"
	case "distinct":
		return fmt.Sprintf("count(DISTINCT properties->>'%s')", property)
	case "avg":
		return "avg(" + number + ")"
	}
	return op + "(" + number + ")"
}

// where selects the part's events; $1 is the instant.
func (p part) where(nameID int64) string {
	w := fmt.Sprintf("event_name_id = %d AND ts >= $1::timestamptz - interval '%d days' AND ts <= $1", nameID, p.days)
	if p.filter.sql != "" {
		w += " AND " + p.filter.sql
	}
	return w
}

// definition is an audience of one or two conditions, or a trait of one part.
type definition struct {
	key   string
	parts []part
	least []string // audience: what each part must reach at least
	not   bool     // the second condition must not hold
}

func (d definition) trait() bool { return len(d.least) == 0 }

func (d definition) engine() engine.Definition {
	def := engine.Definition{
		Key: d.key, Kind: query.Trait, IncludeHistorical: true,
		Connections: []engine.ConnectionDefinition{{Destination: destination}},
	}
	if d.trait() {
		def.Query = d.parts[0].query()
	} else {
		def.Kind = query.Audience
		for i, p := range d.parts {
			condition := fmt.Sprintf("%s >= %s", p.query(), d.least[i])
			switch {
			case i == 0:
				def.Query = condition
			case d.not:
				def.Query += " AND NOT (" + condition + ")"
			default:
				def.Query += " AND " + condition
			}
		}
	}
	return def
}

func audience(key string, least string, p part) definition {
	return definition{key: key, parts: []part{p}, least: []string{least}}
}

func trait(key string, p part) definition { return definition{key: key, parts: []part{p}} }

// windowed are 30 definitions as a shop may have them: 20 audiences and 10 traits over
// 1 to 90 days. The windows' edges are what an hourly step reads.
func windowed() []definition {
	viewed, read, added, signed, ordered, searched, changed := names[0].name, names[1].name, names[2].name, names[3].name, names[4].name, names[5].name, names[6].name
	return []definition{
		audience("active_1d", "1", part{viewed, anyEvent, 1, "count"}),
		audience("active_7d", "5", part{viewed, anyEvent, 7, "count"}),
		audience("active_30d", "20", part{viewed, anyEvent, 30, "count"}),
		audience("readers_7d", "3", part{read, longReads, 7, "count"}),
		audience("readers_30d", "10", part{read, longReads, 30, "count"}),
		audience("buyers_30d", "1", part{ordered, anyEvent, 30, "count"}),
		audience("repeat_buyers_60d", "2", part{ordered, anyEvent, 60, "count"}),
		audience("loyal_90d", "5", part{ordered, anyEvent, 90, "count"}),
		audience("large_orders_30d", "1", part{ordered, large, 30, "count"}),
		audience("spenders_30d", "300", part{ordered, anyEvent, 30, "sum:revenue"}),
		audience("spenders_90d", "1000", part{ordered, anyEvent, 90, "sum:revenue"}),
		audience("coupon_hunters_60d", "2", part{ordered, reduced, 60, "count"}),
		audience("shoe_fans_14d", "3", part{viewed, shoes, 14, "count"}),
		audience("dear_taste_14d", "5", part{viewed, dear, 14, "count"}),
		audience("social_logins_30d", "2", part{signed, social, 30, "count"}),
		audience("german_carts_7d", "2", part{added, germany, 7, "count"}),
		audience("searchers_3d", "2", part{searched, anyEvent, 3, "count"}),
		{key: "abandoned_3d", parts: []part{{added, anyEvent, 3, "count"}, {ordered, anyEvent, 3, "count"}}, least: []string{"2", "1"}, not: true},
		{key: "lookers_30d", parts: []part{{viewed, anyEvent, 30, "count"}, {ordered, anyEvent, 30, "count"}}, least: []string{"10", "1"}, not: true},
		{key: "paying_and_busy_14d", parts: []part{{signed, paying, 14, "count"}, {viewed, paying, 14, "count"}}, least: []string{"2", "5"}},
		trait("views_7d", part{viewed, anyEvent, 7, "count"}),
		trait("views_30d", part{viewed, anyEvent, 30, "count"}),
		trait("orders_90d", part{ordered, anyEvent, 90, "count"}),
		trait("revenue_30d", part{ordered, anyEvent, 30, "sum:revenue"}),
		trait("revenue_90d", part{ordered, anyEvent, 90, "sum:revenue"}),
		trait("average_order_60d", part{ordered, anyEvent, 60, "avg:revenue"}),
		trait("largest_order_90d", part{ordered, anyEvent, 90, "max:revenue"}),
		trait("categories_14d", part{viewed, anyEvent, 14, "distinct:category"}),
		trait("reading_seconds_7d", part{read, anyEvent, 7, "sum:seconds"}),
		trait("plan_revenue_90d", part{changed, anyEvent, 90, "sum:revenue"}),
	}
}

// realtime are 10 definitions without windows, which change with the events themselves.
func realtime() []definition {
	viewed, added, ordered := names[0].name, names[2].name, names[4].name
	return []definition{
		audience("ever_bought", "1", part{ordered, anyEvent, 0, "count"}),
		audience("big_spenders", "2000", part{ordered, anyEvent, 0, "sum:revenue"}),
		audience("shoe_buyers", "3", part{added, shoes, 0, "count"}),
		audience("window_shoppers", "50", part{viewed, dear, 0, "count"}),
		audience("paying_readers", "10", part{names[1].name, paying, 0, "count"}),
		audience("frequent_logins", "10", part{names[3].name, anyEvent, 0, "count"}),
		trait("lifetime_value", part{ordered, anyEvent, 0, "sum:revenue"}),
		trait("average_order", part{ordered, anyEvent, 0, "avg:revenue"}),
		trait("dearest_item", part{added, germany, 0, "max:price"}),
		trait("last_category", part{viewed, anyEvent, 0, "last:category"}),
	}
}

// many are n audiences, all of different events' properties, of which any event
// touches about touched: the others are on event names that nobody sends.
func many(n, touched int) []definition {
	var all []definition
	for i := range touched {
		for e := range names {
			f := filter{query: fmt.Sprintf(`property('country') != 'X%d'`, i)}
			all = append(all, audience(fmt.Sprintf("touched_%d_%d", e, i), fmt.Sprint(3+i), part{names[e].name, f, 0, "count"}))
		}
	}
	for i := len(all); i < n; i++ {
		all = append(all, audience(fmt.Sprintf("quiet_%d", i), "1", part{fmt.Sprintf("Rare Thing %d", i), germany, 0, "count"}))
	}
	return all[:n]
}

// define makes the definitions and computes them from history as of an instant.
func (d *database) define(ctx context.Context, defs []definition, now time.Time) (took time.Duration, events int64, err error) {
	list := make([]engine.Definition, len(defs))
	for i, def := range defs {
		list[i] = def.engine()
		if d.untold {
			list[i].Connections = nil
		}
	}
	for part := range slices.Chunk(list, 100) {
		refused, err := d.engine.Define(ctx, part, now)
		if err != nil {
			return 0, 0, err
		}
		for _, r := range refused {
			return 0, 0, errors.New(r.Error())
		}
	}
	began := time.Now()
	events, err = d.backfill(ctx, now)
	return time.Since(began), events, err
}

func (d *database) backfill(ctx context.Context, now time.Time) (events int64, err error) {
	latest := func(string, time.Time) (time.Time, error) { return now.Truncate(time.Hour), nil } // of engine.DefaultSchedule
	if _, err := d.engine.BeginBackfill(ctx, latest, now); err != nil {
		return 0, err
	}
	for {
		p, err := d.engine.StepBackfill(ctx, now)
		if err != nil || p.Finished {
			return events, err
		}
		events = p.EventsRead
	}
}
