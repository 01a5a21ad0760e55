package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/config"
	"muster/deliver"
	"muster/engine"
	"muster/identity"
	"muster/query"
)

// environment is what the tests' files may refer to.
var environment = map[string]string{
	"TOKEN": "0123456789", "HARD": `a: "b" # c`, "ON": "true", "PORT": "9000", "EMPTY": "",
}

func getenv(name string) (string, bool) {
	value, ok := environment[name]
	return value, ok
}

func parse(text string) (*config.Config, error) {
	return config.Parse("muster.yaml", []byte(text), getenv)
}

func mustParse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnEmptyFileIsAConfiguration(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing yet\n", "---\n"} {
		c := mustParse(t, text)
		if c.Listen != "127.0.0.1:8080" || len(c.Definitions()) != 0 {
			t.Errorf("%q gives %+v", text, c)
		}
	}
}

func TestDefinitionsTakeDefaults(t *testing.T) {
	c := mustParse(t, `
destinations:
  - name: web
    settings: {token: tok}
  - name: app
    settings: {token: tok2}
audiences:
  - name: Repeat buyers
    query: event('Order Completed').count() >= 2
  - key: quiet
    query: event('Order Completed').count() = 0
    include_historical: false
    connections: []
traits:
  - key: ltv
    name: Lifetime value
    description: what they spent
    query: event('Order Completed').sum(property('revenue'))
    schedule: "@daily"
    include_anonymous: true
    backfill_days: 30
    connections:
      - {destination: app, emit: both, computed_event: Value Changed, id_strategy: last}
`)
	want := []engine.Definition{
		{
			Key: "repeat_buyers", Name: "Repeat buyers", Kind: query.Audience, Query: "event('Order Completed').count() >= 2", IncludeHistorical: true,
			Connections: []engine.ConnectionDefinition{{Destination: "web"}, {Destination: "app"}},
		},
		{Key: "quiet", Kind: query.Audience, Query: "event('Order Completed').count() = 0"},
		{
			Key: "ltv", Name: "Lifetime value", Description: "what they spent", Kind: query.Trait,
			Query: "event('Order Completed').sum(property('revenue'))", Schedule: "@daily",
			IncludeAnonymous: true, IncludeHistorical: true, BackfillDays: 30,
			Connections: []engine.ConnectionDefinition{{Destination: "app", Emit: engine.EmitBoth, ComputedEvent: "Value Changed", Strategy: identity.Last}},
		},
	}
	if diff := cmp.Diff(want, c.Definitions()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if s := c.MixpanelSettings(); len(s) != 2 || s["app"].Token.Reveal() != "tok2" {
		t.Errorf("settings %v", s)
	}
}

func TestVariablesOfTheEnvironment(t *testing.T) {
	c := mustParse(t, `
# ${NOT_SET} in a comment is only a comment
database: ${DB:-postgres://muster@localhost/muster}
listen: 127.0.0.1:${PORT}
lenient_auth: ${ON}
sources:
  - {name: web, write_key: "${HARD}"}
  - {name: app, write_key: "a ${TOKEN} b ${EMPTY:-}"}
destinations:
  - name: mixpanel
    settings:
      token: ${TOKEN}
`)
	if c.Database != "postgres://muster@localhost/muster" || c.Listen != "127.0.0.1:9000" || !c.LenientAuth {
		t.Errorf("%+v", c)
	}
	for i, want := range []string{environment["HARD"], "a 0123456789 b "} {
		if got := string(c.Sources[i].WriteKey); got != want {
			t.Errorf("write key %q, want %q", got, want)
		}
	}
	if token := c.Destinations[0].Settings.Token.Reveal(); token != "0123456789" {
		t.Errorf("token %q", token)
	}
}

// Pages that tell a destination themselves make user ids known there before Muster does, as
// forwarded calls do: an alias that would come too late is off unless it is asked for.
func TestDeviceMode(t *testing.T) {
	c := mustParse(t, `
destinations:
  - {name: usual, settings: {token: a}, device_sources: [web, shop], sources: [web]}
  - {name: asked, settings: {token: b, alias_when_known: true}, device_sources: [app]}
  - {name: merges, settings: {token: c, id_merge: original}, device_sources: [tv]}
  - {name: told, settings: {token: d}}
  - {name: forwards, settings: {token: e}, sources: [web]}
`)
	if diff := cmp.Diff(map[string][]string{"usual": {"web", "shop"}, "asked": {"app"}, "merges": {"tv"}}, c.DeviceMode()); diff != "" {
		t.Errorf("sources (-want +got)\n%s", diff)
	}
	for name, want := range map[string]engine.Aliasing{"usual": engine.AliasNever, "asked": engine.AliasOnce, "merges": engine.AliasIdentify, "told": engine.AliasOnce, "forwards": engine.AliasNever} {
		settings := c.MixpanelSettings()[name]
		if got := settings.Aliasing(false); got != want {
			t.Errorf("%s: aliasing %v, want %v", name, got, want)
		}
	}
	if c.Destinations[0].Settings.AliasWhenKnown != nil {
		t.Error("the configuration was edited")
	}
}

// A key that happens to be digits is a text: YAML's octal must not get at it.
func TestNumbersThatAreTexts(t *testing.T) {
	c := mustParse(t, "sources:\n  - {name: web, write_key: 00420}\n  - {name: app, write_key: 12e3}\n")
	if a, b := string(c.Sources[0].WriteKey), string(c.Sources[1].WriteKey); a != "00420" || b != "12e3" {
		t.Errorf("keys %s and %s", a, b)
	}
}

func TestFaultsNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"not YAML", "sources: [", "muster.yaml:1:10: sequence end token ']' not found"},
		{"unknown field", "listen: a:1\nlisten_on: a:1", `muster.yaml:2:1: unknown field "listen_on"`},
		{"unknown nested field", "destinations:\n  - name: m\n    settings:\n      tokn: x", `muster.yaml:4:7: unknown field "tokn"`},
		{"a field of connections", "audiences:\n  - name: a\n    query: q\n    emit: track", `muster.yaml:4:5: unknown field "emit"; it belongs under connections`},
		{"another, in one line", "traits: [{name: a, query: q, computed_event: E}]", `muster.yaml:1:30: unknown field "computed_event"; it belongs under connections`},
		{"a destination's setting", "destinations:\n  - name: m\n    token: x", `muster.yaml:3:5: unknown field "token"; it belongs under settings`},
		{"a setting at the top", "base_url: http://x", `muster.yaml:1:1: unknown field "base_url"; it belongs under destinations, there under settings`},
		{"identity rules at the top", "max_ids: 7", `muster.yaml:1:1: unknown field "max_ids"; it belongs under identity`},
		{"a field of the destination among its settings", "destinations:\n  - name: m\n    settings:\n      token: x\n      device_sources: [web]", `muster.yaml:5:7: unknown field "device_sources"; it belongs beside settings`},
		{"a field of the audience in a connection", "audiences:\n  - name: a\n    connections:\n      - {destination: m, schedule: hourly}", `muster.yaml:4:26: unknown field "schedule"; it belongs beside connections`},
		{"one that belongs to several", "query: q", `muster.yaml:1:1: unknown field "query"`},
		{"one of another part", "sources:\n  - name: web\n    token: x", `muster.yaml:3:5: unknown field "token"`},
		{"wrong kind", "sources: web", "muster.yaml:1:10: a text stands where a list belongs"},
		{"dedup window too short", "dedup_window: 2h", "muster.yaml:1: dedup_window: 2h0m0s is too short: a day, 24h, is the least"},
		{"retention", "retention:\n  events: forever", `muster.yaml:2: retention.events: "forever" is no number of days; write it like 400 days, or leave it out to keep everything`},
		{"retention of values", "retention:\n  events: 400 days\n  values: 99999 days", "muster.yaml:3: retention.values: 99999 days is too long: 36500 days is the most; leave it out to keep everything"},
		{"wrong kind of switch", "lenient_auth: often", "muster.yaml:1:15: a text stands where true or false belongs"},
		{"twice", "listen: a:1\nlisten: b:1", "muster.yaml:2:1: mapping key \"listen\" already defined at [1:1]"},
		{"two documents", "listen: a:1\n---\nlisten: b:1", "muster.yaml: holds 2 YAML documents; one is read"},
		{"variable not set", "sources:\n  - name: web\n    write_key: ${NOPE}", "muster.yaml:3: the environment variable NOPE is not set; set it, or give a default: ${NOPE:-default}"},
		{"variable empty", "database: ${EMPTY}", "muster.yaml:1: the environment variable EMPTY is not set; set it, or give a default: ${EMPTY:-default}"},
		{"listen", "listen: 8080", `muster.yaml:1: listen: "8080" is not host:port, such as 127.0.0.1:8080`},
		{"source without a name", "sources:\n  - write_key: k", `muster.yaml:2: sources[0].name: "" is no name; use 1 to 64 letters, digits, _, . and -, the first a letter or a digit`},
		{"source with a bad name", "sources:\n  - name: my web\n    write_key: k", `muster.yaml:2: sources[0].name: "my web" is no name; use 1 to 64 letters, digits, _, . and -, the first a letter or a digit`},
		{"source twice", "sources:\n  - {name: web, write_key: k}\n  - {name: web, write_key: l}", `muster.yaml:3: sources[1].name: the name "web" stands twice`},
		{"an empty write key", "sources:\n  - name: web\n    write_key: ${EMPTY:-}\n", "muster.yaml:3: sources[0].write_key: is empty; leave the field out to keep the key that the source has"},
		{"write key twice", "sources:\n  - {name: web, write_key: k}\n  - {name: app, write_key: k}", `muster.yaml:3: sources[1].write_key: the source "web" has the same; a key tells sources apart`},
		{"rate", "sources:\n  - name: web\n    write_key: k\n    rate: -5", "muster.yaml:4: sources[0].rate: is -5; use 0.001 to 1000000 requests per second, or leave it out for the default"},
		{"rate that is none", "sources:\n  - name: web\n    write_key: k\n    rate: fast", "muster.yaml:4:11: a text stands where a number belongs"},
		{"default rate", "default_rate: 2000000", "muster.yaml:1: default_rate: is 2e+06; use 0.001 to 1000000 requests per second, or leave it out for the default"},
		{"public address", "public_url: events.shop.test", `muster.yaml:1: public_url: "events.shop.test" is no public address; use one such as https://events.example.com`},
		{"proxy", "listen: a:1\ntrusted_proxies: [10.0.0.0/8, proxy]", `muster.yaml:2: trusted_proxies: [1]: "proxy" is neither an address, such as 10.0.0.7, nor a network, such as 10.0.0.0/8`},
		{"identity", "identity:\n  max_ids: -1", "muster.yaml:2: identity: max_ids: -1 is negative"},
		{"destination without a name", "destinations:\n  - settings: {token: t}", `muster.yaml:2: destinations[0].name: "" is no name; use 1 to 64`},
		{"destination twice", "destinations:\n  - {name: m, settings: {token: t}}\n  - {name: m, settings: {token: t}}", `muster.yaml:3: destinations[1].name: the name "m" stands twice`},
		{"kind", "destinations:\n  - {name: m, kind: amplitude, settings: {token: t}}", `muster.yaml:2: destinations[0].kind: "amplitude" is not known; use mixpanel, or leave it out`},
		{"forwarding from nobody", "destinations:\n  - name: m\n    settings: {token: t}\n    sources: [web, '']\n", `muster.yaml:4: destinations[0].sources[1]: "" is no name of a source; use 1 to 64`},
		{"forwarding twice", "destinations:\n  - name: m\n    settings: {token: t}\n    sources: [web, ios, web]\n", `muster.yaml:4: destinations[0].sources[2]: the source "web" stands twice`},
		{"forwarding from a text", "destinations:\n  - name: m\n    settings: {token: t}\n    sources: web\n", "muster.yaml:4:14: a text stands where a list belongs"},
		{"pages of nobody", "destinations:\n  - name: m\n    settings: {token: t}\n    device_sources: [web, 'my web']\n", `muster.yaml:4: destinations[0].device_sources[1]: "my web" is no name of a source; use 1 to 64`},
		{"pages twice", "destinations:\n  - name: m\n    settings: {token: t}\n    device_sources: [web, ios, web]\n", `muster.yaml:4: destinations[0].device_sources[2]: the source "web" stands twice`},
		{"pages as a text", "destinations:\n  - name: m\n    settings: {token: t}\n    device_sources: web\n", "muster.yaml:4:21: a text stands where a list belongs"},
		{"pages of two", "destinations:\n  - {name: m, settings: {token: t}, device_sources: [web]}\n  - name: n\n    settings: {token: u}\n    device_sources: [app, web]\n", `muster.yaml:5: destinations[1].device_sources[1]: the source "web" is among those of destinations[0] too, and a library in a browser knows one Mixpanel; leave it in one of the two, or give the pages that tell the other a source of their own`},
		{"pages to India", "destinations:\n  - name: m\n    settings: {token: t, region: in}\n    device_sources: [web]\n", `muster.yaml:3: destinations[0].settings.region: is "in", which the integration for browsers does not know: pages would tell the US; leave device_sources out`},
		{"giving up too soon", "destinations:\n  - name: m\n    settings: {token: t}\n    delivery:\n      give_up_after: 2s\n", "muster.yaml:5: destinations[0].delivery.give_up_after: 2s is too short: a minute, 1m, is the least"},
		{"no attempts", "destinations:\n  - {name: m, settings: {token: t}, delivery: {give_up_attempts: -1}}\n", "muster.yaml:2: destinations[0].delivery.give_up_attempts: is -1; use 1 or more, or leave it out for 10"},
		{"no token", "destinations:\n  - name: m\n    settings:\n      region: eu\n", "muster.yaml:4: destinations[0].settings.token: is missing; copy the project token from Mixpanel's project settings"},
		{"region", "destinations:\n  - name: m\n    settings:\n      token: t\n      region: fr\n", `muster.yaml:5: destinations[0].settings.region: is "fr"; use us, eu, in`},
		{"duration", "destinations:\n  - name: m\n    settings:\n      token: t\n      request_timeout: soon\n", "invalid duration"},
		{"no name", "audiences:\n  - query: trait('a') = 1", "muster.yaml:2: audiences[0]: it has no name; give it a name, a key, or both"},
		{"no key from the name", "audiences:\n  - name: 顧客\n    query: trait('a') = 1", "muster.yaml:2: audiences[0].name: no key can be made of it; give a key of a-z, 0-9 and _"},
		{"key twice", "audiences:\n  - {name: A b, query: x}\ntraits:\n  - {key: a_b, query: x}", `muster.yaml:4: traits[0]: the key "a_b" is that of audiences[0]; audiences and traits share their keys`},
		{"no query", "traits:\n  - name: a\n", "muster.yaml:2: traits[0]: query is missing"},
		{"schedule", "traits:\n  - name: a\n    query: x\n    schedule: 0 0 * * * *", `muster.yaml:4: traits[0].schedule: schedule "0 0 * * * *": six fields; the shortest interval is a minute, so leave the seconds out`},
		{"backfill days", "traits:\n  - {name: a, query: x, backfill_days: -1}", "muster.yaml:2: traits[0].backfill_days: is -1; use 1 to 36500, or leave it out for all history"},
		{"no such destination", "audiences:\n  - name: a\n    query: x\n    connections:\n      - destination: m", `muster.yaml:5: audiences[0].connections[0].destination: there is no destination "m"`},
		{"emit", connected("emit: shout"), `muster.yaml:7: audiences[0].connections[0].emit: is "shout"; use identify, track or both`},
		{"strategy", connected("id_strategy: some"), `muster.yaml:7: audiences[0].connections[0].id_strategy: is "some"; use all, first or last`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(c.text)
			if err == nil {
				t.Fatalf("accepted; want %s", c.want)
			}
			if got := err.Error(); !strings.HasPrefix(got, c.want) && !(c.name == "duration" && strings.Contains(got, c.want)) {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("one fault in several lines:\n%v", err)
			}
		})
	}
}

// connected is a configuration whose connection has one more field, in line 7.
func connected(field string) string {
	return "destinations:\n  - {name: m, settings: {token: t}}\naudiences:\n  - name: a\n    query: x\n    connections: [{destination: m,\n      " + field + "}]"
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := parse("listen: x\nsources:\n  - name: ''\n    write_key: ''\ndestinations:\n  - name: m\n    settings:\n      region: fr\n      id_merge: odd\n")
	if err == nil {
		t.Fatal("accepted")
	}
	if n := len(strings.Split(err.Error(), "\n")); n != 6 {
		t.Errorf("%d faults, want 6:\n%v", n, err)
	}
}

// Whatever is wrong with a file, and wherever, its secrets do not show.
func TestSecretsAreNotShown(t *testing.T) {
	const secret = "s3cr3t-value"
	whole := fmt.Sprintf(`database: postgres://muster:%[1]s@localhost/muster
sources:
  - name: web
    write_key: %[1]s
destinations:
  - name: m
    settings:
      token: t%[1]s
      api_secret: %[1]s
      service_account_username: me
      service_account_secret: %[1]s
`, secret)
	lines := strings.SplitAfter(whole, "\n")
	for i := range lines {
		for _, break_ := range []string{"bad: [\n", "  unknown: field\n", "\tx\n", "- x\n", "name: ${NOPE}\n", `"` + secret + "\n"} {
			text := strings.Join(lines[:i], "") + break_ + strings.Join(lines[i:], "")
			_, err := parse(text)
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("line %d, %q: the error shows a secret:\n%v", i+1, break_, err)
			}
		}
	}
	c, err := parse("sources:\n  - {name: web, write_key: " + secret + "}\n")
	if err != nil {
		t.Fatal(err)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", c, c, c.Sources[0], c.Sources[0].WriteKey); strings.Contains(shown, secret) {
		t.Errorf("printing the configuration shows a secret: %s", shown)
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	_, err := config.Load("no-such-file.yaml", getenv)
	if err == nil || !strings.Contains(err.Error(), "no-such-file.yaml") {
		t.Errorf("error %v", err)
	}
}

// The example of the manual can be used as it stands, and each of its definitions compiles.
func TestTheExample(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	c, err := config.Load("../docs/muster.example.yaml", none)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sources) == 0 || len(c.Destinations) == 0 || len(c.Audiences) == 0 || len(c.Traits) == 0 {
		t.Errorf("the example does not show everything: %+v", c)
	}
	for _, def := range c.Definitions() {
		if _, found := query.Compile(def.Query, query.CheckOptions{Purpose: def.Kind}); found.Err() != nil {
			t.Errorf("%s: %v", def.Key, found.Err())
		}
	}
}

func TestRates(t *testing.T) {
	c := mustParse(t, "default_rate: 200\nsources:\n  - {name: web, write_key: a, rate: 0.5}\n  - name: app\n    write_key: b\n    rate: ${PORT}\n  - {name: tv, write_key: c}\n")
	if c.DefaultRate != 200 || c.Sources[0].Rate != 0.5 || c.Sources[1].Rate != 9000 || c.Sources[2].Rate != 0 {
		t.Errorf("%v, %+v", c.DefaultRate, c.Sources)
	}
}

// Proxies on this machine are believed, unless others are named, or none.
func TestProxies(t *testing.T) {
	for text, want := range map[string]string{
		"listen: a:1":                           "[127.0.0.0/8 ::1/128]",
		"trusted_proxies: []":                   "[]",
		"trusted_proxies: [10.1.2.3, fd00::/8]": "[10.1.2.3/32 fd00::/8]",
	} {
		if got := fmt.Sprint(mustParse(t, text).Proxies()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// Each destination has its own patience; what is left out is the loop's to fill in.
func TestPatience(t *testing.T) {
	c, err := config.Parse("muster.yaml", []byte(`
destinations:
  - {name: hasty, settings: {token: a}, delivery: {give_up_after: 90m, give_up_attempts: 3}}
  - {name: usual, settings: {token: b}}
`), getenv)
	if err != nil {
		t.Fatal(err)
	}
	paces := c.Paces()
	if want := (deliver.Pace{GiveUpAge: 90 * time.Minute, GiveUpAttempts: 3}); paces["hasty"] != want {
		t.Errorf("hasty: %+v", paces["hasty"])
	}
	if pace, ok := paces["usual"]; !ok || pace != (deliver.Pace{}) {
		t.Errorf("usual: %+v", pace)
	}
}
