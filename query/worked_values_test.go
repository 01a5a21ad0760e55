package query_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"muster/query"
)

var now = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)

// history is the profile that the values in the tables are for.
func history(t testing.TB) query.Profile {
	t.Helper()
	var p query.Profile
	add := func(age time.Duration, name, properties, source string) *query.Event {
		e := &query.Event{Name: name, Time: now.Add(-age), ReceivedAt: now.Add(-age), Arrival: int64(len(p.Events)), Source: source}
		if properties != "" {
			e.Properties = jsontext.Value(properties)
		}
		p.Events = append(p.Events, e)
		return e
	}
	const day = 24 * time.Hour
	add(40*day, "Ticket Purchased", `{"price":20,"genre":"jazz","sku":"A"}`, "web")
	add(10*day, "Ticket Purchased", `{"price":60,"genre":"rock","sku":"B","items":[{"id":"i1","qty":2},{"id":"i2","qty":1}]}`, "web")
	add(29*time.Hour, "Ticket Purchased", `{"price":5,"genre":"jazz","sku":"Z"}`, "ios")
	add(2*day, "Ticket Purchased", `{"price":"15.5","genre":"rock","sku":"C"}`, "web")
	add(9*day, "Ticket Refunded", `{"sku":"B"}`, "web")
	add(30*time.Hour, "Seat Held", `{"sku":"Z"}`, "web")
	add(2*time.Hour, "Seat Held", `{"sku":"Q"}`, "web")
	add(5*time.Hour, "Page Viewed", `{"page_name":"Pricing"}`, "web").Context = jsontext.Value(`{"page":{"url":"https://x.test/pricing"}}`)
	p.Traits = traits(t, `{"plan":"pro","ltv":1250,"vip":true,"in_beta":false,"zip":"02134","trial_ends":"2026-04-03",
		"last_login":"2026-03-30T09:00:00Z","addr":{"city":"Oslo"},"a.b":"dot","avg_basket":40,"tags":["x","y"],"nick":null}`)
	return p
}

func traits(t testing.TB, raw string) map[string]query.Value {
	t.Helper()
	v, err := query.ParseValue([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]query.Value{}
	for _, key := range v.Keys() {
		m[key] = v.Member(key)
	}
	return m
}

func compile(t testing.TB, text string, opts query.CheckOptions) *query.Definition {
	t.Helper()
	d, diagnostics := query.Compile(text, opts)
	if err := diagnostics.Err(); err != nil {
		t.Fatalf("%s\n%v", text, diagnostics.Render())
	}
	return d
}

var audiences = []struct {
	id, text    string
	full, empty bool
	class       query.Class
}{
	{"A01", `event('Ticket Purchased').where( property('price') >= 50 ).within(14 days).count() >= 1`, true, false, query.Scheduled},
	{"A02", `event('Ticket Purchased').where( property('price') >= trait('avg_basket') AND event('Ticket Refunded').within(parent: 3 days).count() >= 1 ).within(30 days).count() >= 1`, true, false, query.Scheduled},
	{"A03", `NOT ( event('Ticket Purchased').count() >= 1 AND trait('ltv') > 2000 )`, true, true, query.Realtime},
	{"A04", `event('Ticket Purchased').count() = 4`, true, false, query.Realtime},
	{"A05", `event('Ticket Purchased').count() == 4`, true, false, query.Realtime},
	{"A06", `event('Ticket Purchased').count().equals(4)`, true, false, query.Realtime},
	{"A07", `event('Ticket Purchased').within(7 days).count() < 1`, false, true, query.Scheduled},
	{"A08", `event('Ticket Purchased').between(5 days, 15 days).count() >= 1`, true, false, query.Scheduled},
	{"A09", `event('Ticket Purchased').between(15 days, 5 days).count() >= 1`, true, false, query.Scheduled},
	{"A10", `event('Ticket Purchased').sources({exclude: 'ios'}).count() = 3`, true, false, query.Realtime},
	{"A11", `event('Ticket Purchased').sources({exclude: ['ios','web']}).count() = 0`, true, true, query.Realtime},
	{"A12", `trait('vip') = 'true'`, true, false, query.Realtime},
	{"A13", `trait('vip') = true`, true, false, query.Realtime},
	{"A14", `trait('in_beta') != 'true'`, true, false, query.Realtime},
	{"A15", `trait('missing') != 'x'`, false, false, query.Realtime},
	{"A16", `NOT trait('missing') = 'x'`, true, true, query.Realtime},
	{"A17", `trait('missing') != 'x' OR trait('missing').absent()`, true, true, query.Realtime},
	{"A18", `trait('missing').omits('x')`, true, true, query.Realtime},
	{"A19", `trait('missing').none_of('x','y')`, false, false, query.Realtime},
	{"A20", `trait('nick').exists()`, false, false, query.Realtime},
	{"A21", `trait('zip') = 2134`, true, false, query.Realtime},
	{"A22", `trait('zip') = '2134'`, false, false, query.Realtime},
	{"A23", `trait('ltv') > '1000'`, true, false, query.Realtime},
	{"A24", `trait('plan') > 100`, false, false, query.Realtime},
	{"A25", `trait('plan').one_of('pro','team')`, true, false, query.Realtime},
	{"A26", `trait('plan').contains(['ro','zz'])`, true, false, query.Realtime},
	{"A27", `trait('plan').starts_with('PR')`, false, false, query.Realtime},
	{"A28", `trait('addr.city') = 'Oslo'`, true, false, query.Realtime},
	{"A29", `trait('a\.b') = 'dot'`, true, false, query.Realtime},
	{"A30", `trait('a\\.b') = 'dot'`, true, false, query.Realtime},
	{"A31", `trait('tags.$') = 'y'`, true, false, query.Realtime},
	{"A32", `trait('tags.$') != 'y'`, true, false, query.Realtime},
	{"A33", `trait('tags').contains('"y"')`, true, false, query.Realtime},
	{"A34", `trait('trial_ends').within_next(7 days)`, true, false, query.Scheduled},
	{"A35", `trait('trial_ends').after_next(3 days)`, true, false, query.Scheduled},
	{"A36", `trait('last_login').within_last(2 days)`, true, false, query.Scheduled},
	{"A37", `trait('last_login').within_last(24 hours)`, false, false, query.Scheduled},
	{"A38", `trait('last_login').before_last(1 day)`, true, false, query.Scheduled},
	{"A39", `trait('last_login').before_date(2026-03-30)`, false, false, query.Realtime},
	{"A40", `trait('last_login').after_date('2026-03-30T08:59:59Z')`, true, false, query.Realtime},
	{"A41", `event('Ticket Purchased').where(property('items.$.id') = 'i2').count() = 1`, true, false, query.Realtime},
	{"A42", `event('Ticket Purchased').where(property('items.$.id') = 'i1' AND property('items.$.qty') = 1).count() = 1`, true, false, query.Realtime},
	{"A43", `event('Seat Held').where( NOT event('Ticket Purchased').where( property('sku') = property(parent: 'sku') ).within(parent: 1 day).count() >= 1 ).within(3 days).count() >= 1`, true, false, query.Scheduled},
	{"A44", `event('Seat Held').where( event('Ticket Purchased').where( property('sku') = property(parent: 'sku') ).within(parent: 1 day).count() >= 1 ).count() = 1`, true, false, query.Realtime},
	{"A45", `event('Page Viewed').where(context('page.url').contains('pricing')).within(1 day).count() >= 1`, true, false, query.Scheduled},
	{"A46", `event('Ticket Purchased').sum(property('price')) > 100`, true, false, query.Realtime},
	{"A47", `event('Nope').sum(property('price')) < 100`, false, false, query.Realtime},
	{"A48", `event('Nope').count() = 0`, true, true, query.Realtime},
	{"A49", `event('Ticket Purchased').count() > event('Ticket Refunded').count()`, true, false, query.Realtime},
	{"A50", `event('Ticket Purchased').unique(property('genre')).count() = 2`, true, false, query.Realtime},
	{"A51", `(trait('ltv')) >= (1250)`, true, false, query.Realtime},
	{"A52", `trait('plan') = 'pro' OR trait('plan') = 'team' AND trait('ltv') > 9999`, true, false, query.Realtime},
	{"A53", `( trait('plan') = 'pro' OR trait('plan') = 'team' ) AND trait('ltv') > 9999`, false, false, query.Realtime},
	{"lapsed buyers", `event('Ticket Purchased').between(30 days, 90 days).count() >= 1 AND event('Ticket Purchased').within(30 days).count() = 0`, false, false, query.Scheduled},
	{"big spenders", `trait('lifetime_spend') >= 500 AND NOT trait('internal_staff') = 'true'`, false, false, query.Realtime},
	{"activated", `event('Ticket Purchased').count() >= 1 AND NOT event('Account Closed').count() >= 1`, true, false, query.Realtime},
}

func TestAudiences(t *testing.T) {
	p := history(t)
	for _, row := range audiences {
		t.Run(row.id, func(t *testing.T) {
			d := compile(t, row.text, query.CheckOptions{Purpose: query.Audience})
			if got := d.Eval(p, now); !got.Equal(query.Bool(row.full)) {
				t.Errorf("%s is %v for the profile, want %v\n%s", row.text, got, row.full, d.Explain(p, now).Render())
			}
			if got := d.Eval(query.Profile{}, now); !got.Equal(query.Bool(row.empty)) {
				t.Errorf("%s is %v for an empty profile, want %v", row.text, got, row.empty)
			}
			if d.TrueOnEmpty != row.empty {
				t.Errorf("%s: TrueOnEmpty is %v", row.text, d.TrueOnEmpty)
			}
			if d.Class != row.class || (len(d.ClassBecause) > 0) != (row.class == query.Scheduled) {
				t.Errorf("%s is %s because of %q, want %s", row.text, d.Class, d.ClassBecause, row.class)
			}
			again := compile(t, d.Text(), query.CheckOptions{Purpose: query.Audience})
			if again.Text() != d.Text() {
				t.Errorf("printed as\n%s, then as\n%s", d.Text(), again.Text())
			}
		})
	}
}

var computed = []struct {
	id, text, value string
	class           query.Class
}{
	{"T01", `event('Ticket Purchased').count()`, `4`, query.Realtime},
	{"T02", `event('Ticket Purchased').within(30 days).avg(property('price'))`, `26.8333333333333`, query.Scheduled},
	{"T03", `event('Ticket Purchased').where( property('price') > 10 AND property('genre') = 'rock' ).min(property('price'))`, `15.5`, query.Realtime},
	{"T04", `event('Ticket Purchased').sum(property('price'))`, `100.5`, query.Realtime},
	{"T05", `event('Ticket Purchased').max(property('price'))`, `60`, query.Realtime},
	{"T06", `event('Ticket Purchased').max(property('price') as string)`, `"60"`, query.Realtime},
	{"T07", `event('Ticket Purchased').within(30 days).first(property('genre'))`, `"rock"`, query.Scheduled},
	{"T08", `event('Ticket Purchased').last(property('genre'))`, `"jazz"`, query.Realtime},
	{"T09", `event('Ticket Purchased').mode(property('genre'), 2)`, `"jazz"`, query.Realtime},
	{"T10", `event('Ticket Purchased').mode(property('genre'), 3)`, `null`, query.Realtime},
	{"T11", `event('Ticket Purchased').unique(property('genre'))`, `["jazz","rock"]`, query.Realtime},
	{"T13", `event('Ticket Purchased').unique(property('items.$.id'))`, `["i1","i2"]`, query.Realtime},
	{"T14", `event('Ticket Purchased').mode(property('items.$') as array, 1)`, `"[{\"id\":\"i1\",\"qty\":2},{\"id\":\"i2\",\"qty\":1}]"`, query.Realtime},
	{"T15", `event('Seat Held').expires_after(12 hours).count()`, `1`, query.Realtime},
	{"T16", `event('Nope').sum(property('price'))`, `null`, query.Realtime},
	{"T17", `event('Nope').count()`, `0`, query.Realtime},
	{"last campaign", `event('Page Viewed').where( context('campaign.name').exists() ).last(context('campaign.name'))`, `null`, query.Realtime},
}

func TestComputedTraits(t *testing.T) {
	p := history(t)
	for _, row := range computed {
		t.Run(row.id, func(t *testing.T) {
			d := compile(t, row.text, query.CheckOptions{Purpose: query.Trait})
			if got := d.Eval(p, now).String(); got != row.value {
				t.Errorf("%s is %s, want %s", row.text, got, row.value)
			}
			if d.Class != row.class {
				t.Errorf("%s is %s, want %s", row.text, d.Class, row.class)
			}
		})
	}
}

func TestAccounts(t *testing.T) {
	report := &query.Event{Name: "Report Built", Time: now.Add(-time.Hour)}
	u1 := query.Profile{Traits: traits(t, `{"role":"admin","total":300}`), Events: []*query.Event{report}}
	u2 := query.Profile{Traits: traits(t, `{"role":"dev","total":10}`)}
	account := traits(t, `{"tier":"gold"}`)
	for _, row := range []struct {
		text        string
		full, alone bool
	}{
		{`ANY event('Report Built').count() >= 1`, true, false},
		{`ALL event('Report Built').count() >= 1`, false, false},
		{`ALL NOT event('Report Built').count() >= 1`, false, false},
		{`NOT ANY event('Report Built').count() >= 1`, false, true},
		{`trait('tier') = 'gold' AND ANY ( trait('role') = 'admin' AND trait('total') > 200 )`, true, false},
	} {
		d := compile(t, row.text, query.CheckOptions{Purpose: query.Audience, Level: query.Accounts})
		if got := d.EvalAccount(account, []query.Profile{u1, u2}, now).AsBool(); got != row.full {
			t.Errorf("%s is %v with two users, want %v", row.text, got, row.full)
		}
		if got := d.EvalAccount(account, nil, now).AsBool(); got != row.alone {
			t.Errorf("%s is %v without users, want %v", row.text, got, row.alone)
		}
	}
	pooled := compile(t, `event('Report Built').count()`, query.CheckOptions{Purpose: query.Trait, Level: query.Accounts})
	if got := pooled.EvalAccount(account, []query.Profile{u1, u2}, now); !got.Equal(query.Int(1)) {
		t.Errorf("the users' events together count %v, want 1", got)
	}
}
