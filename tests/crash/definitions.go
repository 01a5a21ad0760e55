package crash

import (
	"bytes"
	"math/rand/v2"
	"text/template"
)

// Keys of computations that the checks know more of than that they are consistent.
const (
	ordersKey  = "orders"  // how many orders somebody has made
	visitorKey = "visitor" // includes anonymous people
)

// edition is what people change of the definitions while the system runs.
type edition struct {
	Number   int
	Orders   int // that make a buyer
	Revenue  int // that makes a big spender
	Seconds  int // of the window of active
	Category string
}

// edit is the next edition. Each one has an audience of a key of its own, which takes the
// place of the last one's.
func (e edition) edit(r *rand.Rand) edition {
	next := edition{Number: e.Number + 1, Orders: 1 + r.IntN(4), Revenue: 100 * (1 + r.IntN(8)), Seconds: 60 + r.IntN(120), Category: categories[r.IntN(len(categories))]}
	if r.IntN(2) == 0 {
		next.Orders, next.Seconds = e.Orders, e.Seconds // not all change every time
	}
	return next
}

// configuration is muster.yaml. muster serve has no clock but that of the machine, so what has
// a window is computed every minute instead of every hour, and windows last a minute or two.
var configuration = template.Must(template.New("muster.yaml").Parse(`
sources:
  - {name: web, write_key: {{.Web}}, rate: 1000000}
  - {name: app, write_key: {{.App}}, rate: 1000000}
destinations:
  - name: profiles
    sources: [web]
    settings:
      token: {{.Token}}
      base_url: {{.Profiles}}
      id_merge: original
      event_increments: [Signed In]
      group_identifier_traits: [company]
      max_events_per_request: 50
      max_profiles_per_request: 20
  - name: events
    settings:
      token: {{.Token}}
      base_url: {{.Events}}
      max_events_per_request: 50
{{define "told"}}[{destination: profiles, emit: identify}, {destination: events, emit: track}]{{end}}
audiences:
  - {name: buyers, query: "event('Order Completed').count() >= {{.Edition.Orders}}", connections: {{template "told"}}}
  - {name: big_spenders, query: "event('Order Completed').sum(property('revenue')) >= {{.Edition.Revenue}}", connections: {{template "told"}}}
  - {name: season_{{.Edition.Number}}, query: "event('Product Viewed').where(property('category') = '{{.Edition.Category}}').count() >= 2", connections: {{template "told"}}}
  - {name: visitor, query: "event('Page Viewed').count() >= 2", include_anonymous: true, connections: {{template "told"}}}
  - {name: gold_buyers, query: "trait('level') = 'gold' AND trait('buyers') = true", connections: [{destination: profiles, emit: both}, {destination: events, emit: both}]}
  - {name: active, query: "event('Product Viewed').within({{.Edition.Seconds}} seconds).count() >= 3", schedule: "* * * * *", connections: {{template "told"}}}
  - {name: hot, query: "event('Product Viewed').within(60 seconds).count() >= 2", schedule: "* * * * *", refresh: realtime, connections: {{template "told"}}}
  - {name: lapsed, query: "event('Signed In').count() >= 1 AND NOT (event('Signed In').within(2 minutes).count() >= 1)", schedule: "* * * * *", connections: {{template "told"}}}
traits:
  - {name: orders, query: "event('Order Completed').count()", connections: {{template "told"}}}
  - {name: last_category, query: "event('Product Viewed').last(property('category'))", connections: {{template "told"}}}
  - {name: recent_revenue, query: "event('Order Completed').within(2 minutes).sum(property('revenue'))", schedule: "* * * * *", connections: {{template "told"}}}
`))

// write is the text of muster.yaml with an edition.
func (e edition) write(token, profiles, events string) (string, error) {
	var text bytes.Buffer
	err := configuration.Execute(&text, map[string]any{
		"Web": webKey, "App": appKey, "Token": token, "Profiles": profiles, "Events": events, "Edition": e,
	})
	return text.String(), err
}
