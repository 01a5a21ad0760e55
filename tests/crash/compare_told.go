package crash

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"muster/mixpanel/mixpaneltest"
)

type fake struct {
	destination string
	server      *mixpaneltest.Server
}

func (t *trial) fakes() []fake { return []fake{{"profiles", t.profiles}, {"events", t.events}} }

// queue holds the queue to itself and to the ledger: what a combination of ids was told of a
// connection is numbered without a gap, never twice the same, and the last is the ledger's.
func (c *comparison) queue() {
	var connection, n, gaps, same int64
	c.query(`
		WITH told AS (
			SELECT connection_id, ids, form, told, value, lag(told) OVER w AS before, lag(value) OVER w AS value_before
			FROM muster.queue WHERE connection_id <> 0 WINDOW w AS (PARTITION BY connection_id, ids, form ORDER BY seq))
		SELECT connection_id, count(*), count(*) FILTER (WHERE told <> coalesce(before, 0) + 1), count(*) FILTER (WHERE value = value_before)
		FROM told GROUP BY 1`, []any{&connection, &n, &gaps, &same}, func() {
		if gaps+same > 0 {
			c.report.differ("of %d messages of connection %d, %d are not numbered as they should be, and %d say again what was said before", n, connection, gaps, same)
		}
		c.report.Compared += int(n)
	})
	var ids string
	c.query(`
		SELECT l.connection_id, l.ids, l.told FROM muster.ledger l LEFT JOIN (
			SELECT DISTINCT ON (connection_id, ids) connection_id, ids, told, value FROM muster.queue WHERE connection_id <> 0
			ORDER BY connection_id, ids, seq DESC) q USING (connection_id, ids)
		WHERE q.told IS DISTINCT FROM l.told OR q.value IS DISTINCT FROM l.value`, []any{&connection, &ids, &n}, func() {
		c.report.differ("the ledger says of connection %d that %s was told %d times; the queue says otherwise", connection, ids, n)
	})
}

// letters holds the dead letters to what may die here: increments and charges whose answer got lost.
func (c *comparison) letters() {
	var kind, reason, message string
	c.query(`SELECT kind, reason, coalesce(call->>'messageId', '') FROM muster.dead_letters`, []any{&kind, &reason, &message}, func() {
		if kind != "uncertain" || message == "" {
			c.report.differ("dead letter, %s: %s (%s)", kind, reason, message)
			return
		}
		c.report.Uncertain++
		c.uncertain(message)
	})
}

// uncertain marks a call of which Mixpanel may have heard or not.
func (c *comparison) uncertain(message string) {
	for _, one := range c.calls {
		if one.id == message {
			one.uncertain = true
			return
		}
	}
	c.report.differ("the dead letter of %q is of no call", message)
}

// connection is one by which a computation that is live tells a destination.
type connection struct {
	key, destination, emit string
	anonymous              bool
}

func (c *comparison) connections() (all []connection) {
	var one connection
	c.query(`SELECT c.key, d.name, x.emit, c.include_anonymous FROM muster.connections x JOIN muster.computations c USING (computation_id)
		JOIN muster.destinations d USING (destination_id) WHERE c.deleted_at IS NULL AND x.removed_at IS NULL`,
		[]any{&one.key, &one.destination, &one.emit, &one.anonymous}, func() { all = append(all, one) })
	return all
}

// properties holds the profiles at Mixpanel to the values.
func (c *comparison) properties() {
	connections := c.connections()
	if len(connections) < 20 {
		c.report.differ("only %d connections tell anybody", len(connections))
	}
	for _, x := range connections {
		if x.emit == "track" {
			continue
		}
		server := c.profiles
		if x.destination == "events" {
			server = c.events
		}
		known := make(map[string]bool) // of whom Mixpanel may know it
		for id, profile := range c.owners {
			kind, id, _ := strings.Cut(id, ":")
			if kind != "user_id" && (kind != "anonymous_id" || !x.anonymous) {
				continue
			}
			p, _ := server.Profile(token, id)
			known[p.DistinctID] = true
			want := c.values[x.key][profile]
			if have := p.Properties[x.key]; !reflect.DeepEqual(have, want) {
				c.report.differ("%s of %s is %v, and %s was told %v", x.key, id, want, x.destination, have)
			}
			c.report.Compared++
		}
		for id, value := range server.ProfileValues(token, x.key) {
			if !known[id] {
				c.report.differ("%s was told that %s of %s is %v, who is nobody", x.destination, x.key, id, value)
			}
		}
	}
}

// changes holds the events of audiences and traits at Mixpanel to the messages, each of which
// has to count once.
func (c *comparison) changes() {
	for _, f := range c.fakes() {
		want := make(map[string]int)
		var key, ids, value string
		var at time.Time
		c.query(fmt.Sprintf(`SELECT c.key, q.ids, q.value::text, q.at FROM muster.queue q JOIN muster.connections USING (connection_id)
			JOIN muster.computations c USING (computation_id) JOIN muster.destinations d ON d.destination_id = q.destination_id
			WHERE q.form = 'track' AND d.name = '%s'`, f.destination), []any{&key, &ids, &value, &at}, func() {
			carrier, _, _ := strings.Cut(ids, "|") // "user:kim|email:kim@example.net"; there is no | in our ids
			_, carrier, _ = strings.Cut(carrier, ":")
			want[change(carrier, key, decoded([]byte(value)), at)]++
		})
		c.report.Compared += len(want)
		sent := make(map[string]int) // by $insert_id
		for _, e := range f.server.Events(token, mixpaneltest.Raw) {
			if e.Effect == "" {
				sent[e.InsertID]++
			}
			if late := seconds(e.Received.Sub(e.Time)); sent[e.InsertID] == 1 && computedKey(e) != "" {
				c.report.Late = max(c.report.Late, late)
			}
		}
		for _, n := range sent {
			if n > 1 {
				c.report.Again++
			}
		}
		for _, e := range f.server.Events(token, mixpaneltest.Deduped) {
			key := computedKey(e)
			if key == "" {
				continue
			}
			what := change(about(e), key, e.Properties[key], e.Time)
			if want[what]--; want[what] < 0 {
				c.report.differ("%s counts an event too many: %s", f.destination, what)
			}
		}
		for what, n := range want {
			if n > 0 {
				c.report.differ("%s counts %d events too few: %s", f.destination, n, what)
			}
		}
	}
}

// about is the distinct id that an event was sent with; aliases may show it under another.
func about(e mixpaneltest.Event) string {
	var sent struct {
		Properties struct {
			DistinctID string `json:"distinct_id"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(e.Sent, &sent); err != nil {
		return err.Error()
	}
	return sent.Properties.DistinctID
}

// computedKey is the key of the audience or trait whose change the event tells, or "".
func computedKey(e mixpaneltest.Event) string {
	for _, name := range []string{"audience_key", "trait_key"} {
		if key, ok := e.Properties[name].(string); ok {
			return key
		}
	}
	return ""
}

// change is an event that tells a value, in words.
func change(id, key string, value any, at time.Time) string {
	text, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		text = []byte(err.Error())
	}
	return fmt.Sprintf("%s of %s is %s at %s", key, id, text, at.UTC().Format("15:04:05.000"))
}

// forwarded holds the forwarded events at Mixpanel to the calls of the source that is connected.
func (c *comparison) forwarded() {
	counted := make(map[string]mixpaneltest.Event)
	for _, e := range c.profiles.Events(token, mixpaneltest.Deduped) {
		id, ok := e.Properties["call"].(string)
		if !ok {
			continue
		}
		if _, twice := counted[id]; twice {
			c.report.differ("the forwarded call %s counts twice", id)
		}
		counted[id] = e
	}
	for _, one := range c.calls {
		if !one.web || one.event == "" {
			continue
		}
		e, ok := counted[one.id]
		delete(counted, one.id)
		c.report.Compared++
		who := one.user
		if who == "" {
			who = one.anonymous
		}
		switch {
		case !ok && !one.uncertain:
			c.report.differ("the call %s was not forwarded", one.id)
		case !ok:
		case one.kind == "track" && e.Name != one.event,
			!one.clamped && !e.Time.Equal(one.at),
			about(e) != who:
			c.report.differ("the call %s of %s at %v was forwarded as %s of %s at %v", one.id, who, one.at, e.Name, about(e), e.Time)
		}
	}
	for id := range counted {
		c.report.differ("the event %s was forwarded and is not stored, or is of a source that is not connected", id)
	}
}

// charges holds increments and charges at Mixpanel to the calls: each once, or, if it is
// uncertain, once or not at all.
func (c *comparison) charges() {
	type counts struct{ certain, possible int }
	signed, charged := make(map[string]counts), make(map[string]counts)
	for _, one := range c.calls {
		if !one.web || one.user == "" {
			continue
		}
		of := signed
		switch one.event {
		case "Order Completed":
			of = charged
		case "Signed In":
		default:
			continue
		}
		n := of[one.user]
		n.possible++
		if !one.uncertain {
			n.certain++
		}
		of[one.user] = n
	}
	for user := range users {
		id := userID(user)
		p, _ := c.profiles.Profile(token, id)
		increments, _ := p.Properties["Signed In"].(float64)
		if n := signed[id]; int(increments) < n.certain || int(increments) > n.possible {
			c.report.differ("%s signed in %d times, %d of them certain, and Mixpanel counts %v", id, n.possible, n.certain, increments)
		}
		list, _ := p.Properties["$transactions"].([]any)
		if n := charged[id]; len(list) < n.certain || len(list) > n.possible {
			c.report.differ("%s was charged %d times, %d of them certain, and Mixpanel has %d charges", id, n.possible, n.certain, len(list))
		}
		c.report.Compared += 2
	}
}

// rules holds muster to Mixpanel's.
func (c *comparison) rules() {
	for _, f := range c.fakes() {
		for _, v := range f.server.Violations() {
			c.report.differ("%s: a rule of Mixpanel was broken: %v", f.destination, v)
		}
		for _, o := range f.server.Orphans() {
			c.report.differ("%s: a record went to nobody: %v", f.destination, o)
		}
		for _, d := range f.server.DroppedEvents() {
			c.report.differ("%s: an event was dropped: %v", f.destination, d)
		}
	}
}
