package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/internal/pgtest"
	"muster/mixpanel/mixpaneltest"
)

// commandIn runs a command with variables of the environment and returns what it prints.
func commandIn(t *testing.T, variables map[string]string, args ...string) string {
	t.Helper()
	var out, errs output
	env := &environment{
		in: strings.NewReader(""), out: &out, err: &errs, now: time.Now,
		lookup: func(name string) (string, bool) { v, ok := variables[name]; return v, ok },
	}
	if code := run(t.Context(), env, args); code != exitOK {
		t.Fatalf("muster %s ends with %d: %s%s", strings.Join(args, " "), code, &errs, &out)
	}
	return out.String()
}

// What apply does to sources, identity rules and destinations, a server that runs follows
// within seconds, and calls go on being taken meanwhile.
func TestServeFollowsApply(t *testing.T) {
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{{Token: testToken}, {Token: "token-of-another"}}})
	env := map[string]string{"DATABASE_URL": pgtest.DSN(t), "FIRST": testToken, "SECOND": "token-of-another", "MIXPANEL_URL": fake.URL(), "KEY": writeKey}
	r := background(t, env, "serve", "--config", writeFile(t, "muster.yaml", ""), "--listen", "127.0.0.1:0")
	url := r.serving(t)
	apply := func(text string) {
		t.Helper()
		path := writeFile(t, "definitions.yaml", text)
		began := time.Now()
		commandIn(t, env, "apply", path, "--yes")
		if out := commandIn(t, env, "apply", path, "--yes"); !strings.Contains(out, "Nothing changes.") {
			t.Errorf("after %s the second apply says\n%s", time.Since(began), out)
		}
	}
	answers := func(user, id string, status int) func() bool {
		return func() bool { return send(url+"/v1/track", writeKey, order(user, id, 5)) == status }
	}
	if !answers("kim", "m0", http.StatusUnauthorized)() {
		t.Fatal("calls of a source that nobody knows are taken")
	}
	const source = "sources:\n  - {name: web, write_key: \"${KEY}\"}\n"
	began := time.Now()
	apply(source)
	eventually(t, "a new source is known", answers("kim", "m1", http.StatusOK))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the source's calls are taken after %s", took)
	}
	const destinations = "destinations:\n  - name: first\n    settings: {token: \"${FIRST}\", base_url: \"${MIXPANEL_URL}\"}\n"
	const audience = "audiences:\n  - {name: Buyers, query: event('Order Completed').count() >= 1}\n"
	apply(destinations + audience)
	told := func(token, user string) func() bool {
		return func() bool {
			p, _ := fake.Profile(token, user)
			return p.Properties["buyers"] == true
		}
	}
	eventually(t, "a new destination is told", told(testToken, "kim"))

	// Calls that come while what is served is assembled anew are all taken.
	stop, taken := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				taken <- n
				return
			default:
			}
			if status := send(url+"/v1/track", writeKey, order("lee", fmt.Sprintf("lee-%d", n), 1)); status != http.StatusOK {
				t.Errorf("a call is answered %d meanwhile", status)
			}
		}
	}()
	apply(destinations + "  - name: second\n    sources: [web]\n    settings: {token: \"${SECOND}\", base_url: \"${MIXPANEL_URL}\"}\n" + audience)
	eventually(t, "another destination is told", told("token-of-another", "lee"))
	eventually(t, "calls are forwarded to it", func() bool { return len(fake.Events("token-of-another", mixpaneltest.Deduped)) > 0 })
	close(stop)
	sent := <-taken
	pool := database(t, env["DATABASE_URL"])
	if n := one[int](t, pool, `SELECT count(*) FROM muster.events WHERE message_id LIKE 'lee-%'`); n != sent {
		t.Errorf("%d calls are stored of %d that were answered", n, sent)
	}

	// Rules hold for calls from then on.
	identify := func(id string) bool {
		return send(url+"/v1/identify", writeKey, fmt.Sprintf(`{"userId":"ann","messageId":%q,"traits":{"loyalty_card":"card-1"}}`, id)) == http.StatusOK
	}
	const cards = `SELECT count(*) FROM muster.external_ids WHERE id_type = 'loyalty_card'`
	if !identify("i1") || one[int](t, pool, cards) != 0 {
		t.Fatal("a loyalty card is an id before the rules say so")
	}
	apply("identity:\n  custom_keys: [loyalty_card]\n")
	n := 1
	eventually(t, "new rules hold", func() bool {
		n++
		return identify(fmt.Sprintf("i%d", n)) && one[int](t, pool, cards) == 1
	})

	// A destination whose secret is not here is left alone, and the others go on.
	env2 := map[string]string{"DATABASE_URL": env["DATABASE_URL"], "ELSEWHERE": "token-of-nobody-here", "FIRST": testToken, "SECOND": "token-of-another", "MIXPANEL_URL": fake.URL()}
	commandIn(t, env2, "apply", writeFile(t, "d.yaml", destinations+"  - name: second\n    settings: {token: \"${SECOND}\", base_url: \"${MIXPANEL_URL}\"}\n"+
		"  - name: third\n    settings: {token: \"${ELSEWHERE}\", base_url: \"${MIXPANEL_URL}\"}\n"), "--yes")
	eventually(t, "the log says what is missing", func() bool {
		return strings.Contains(r.err.String(), "destination third: its token is in the environment variable ELSEWHERE, which is not set here")
	})
	eventually(t, "the others are told", func() bool { return answers("max", "m9", http.StatusOK)() && told(testToken, "max")() })
	if code := r.wait(t); code != exitOK {
		t.Errorf("serve ended with %d", code)
	}
	for _, secret := range []string{testToken, "token-of-another", "token-of-nobody-here", writeKey} {
		if strings.Contains(r.err.String(), secret) || one[bool](t, pool, `SELECT EXISTS (SELECT FROM muster.destinations WHERE configuration::text LIKE '%' || $1 || '%')`, secret) {
			t.Errorf("%s is in the log or in the database", secret)
		}
	}
}

// What is exported and applied elsewhere is exported there as the same.
func TestPropertyExportRoundTrip(t *testing.T) {
	secrets := map[string]string{"A_TOKEN": "token-a", "B_SECRET": "secret-b", "KEY_1": "key-one", "KEY_2": "key-two"}
	files := rapid.Custom(drawConfiguration)
	for seed := range 8 { // each takes about two seconds
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			text := files.Example(seed)
			first, second := pgtest.DSN(t), pgtest.DSN(t)
			on := func(dsn string, args ...string) string {
				return commandIn(t, secrets, append(args, "--database", dsn)...)
			}
			path := filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			on(first, "apply", path, "--yes", "--delete-all")
			if out := on(first, "plan", path); !strings.Contains(out, "Nothing changes.") {
				t.Fatalf("after it is applied, a plan says\n%s\n%s", out, text)
			}
			exported := on(first, "export")
			if err := os.WriteFile(path, []byte(exported), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, dsn := range []string{first, second} {
				if dsn == second {
					on(dsn, "apply", path, "--yes", "--delete-all")
				}
				if out := on(dsn, "plan", path); !strings.Contains(out, "Nothing changes.") {
					t.Fatalf("a plan of what was exported says\n%s\n%s", out, exported)
				}
				if again := on(dsn, "export"); again != exported {
					t.Fatalf("exported\n%s\nand then\n%s", exported, again)
				}
			}
			for _, secret := range secrets {
				if strings.Contains(exported, secret) {
					t.Fatalf("%s is exported", secret)
				}
			}
		})
	}
}

// drawConfiguration writes a file with some of everything.
func drawConfiguration(rt *rapid.T) string {
	var b strings.Builder
	some := func(what string) bool { return rapid.Bool().Draw(rt, what) }
	b.WriteString("sources:\n  - {name: web, write_key: \"${KEY_1}\"}\n")
	if some("second source") {
		fmt.Fprintf(&b, "  - {name: \"0012\", write_key: \"${KEY_2}\", rate: %g}\n", rapid.SampledFrom([]float64{0.5, 7, 1e6}).Draw(rt, "rate"))
	}
	if some("source without a key") {
		b.WriteString("  - name: \"true\"\n")
	}
	if some("identity") {
		b.WriteString("identity:\n  max_ids: 7\n")
		if some("limits") {
			b.WriteString("  limits: {email: {max: 2, period: weekly}, \"*\": 9}\n")
		}
		if some("blocked") {
			b.WriteString("  blocked: {\"*\": [], email: [\"/^no.*$/\", \"# x: y\", \"${MUSTER_LITERAL_DOLLAR:-$}{Z}\"]}\n")
		}
		if some("keys") {
			b.WriteString("  custom_keys: [card]\n  priority: [card, email]\n  email_from_properties: true\n")
		}
	}
	b.WriteString("destinations:\n  - name: m\n    settings:\n      token: ${A_TOKEN}\n")
	if some("secret") {
		b.WriteString("      api_secret: ${B_SECRET}\n")
	}
	if some("settings") {
		b.WriteString("      region: eu\n      people: false\n      alias_settle: 250ms\n      source_name: \"001: it's\"\n      event_increments: [\"on\", \"a # b\", \"${MUSTER_LITERAL_DOLLAR:-$}{Z}\"]\n      mixpanel_project_id: 9007199254740993\n")
	}
	if some("connected") {
		b.WriteString("    sources: [web]\n    delivery: {give_up_attempts: 3}\n")
	}
	if some("audience") {
		b.WriteString("audiences:\n  - name: Buyers\n    query: |\n      event('Order').count() >= 1\n      AND event('Ö').count() >= 2\n")
	}
	return b.String()
}
