package hostile_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// hostileTexts do something where they are not taken as plain text.
var hostileTexts = []string{
	`'; DROP TABLE muster.events; --`, `' OR '1'='1`, `"; SELECT pg_sleep(10); /*`, `$1`, `$$`, `\`, `\'`, `%s%n%d%!v(MISSING)`, `%`, `_`, `{{.}}`, `${HOME}`, `$.a[0]`, `a.b`, `a"b`, "a'b", "a`b",
	`{"$ne": null}`, `[1]`, `null`, `../../etc/passwd`, `=HYPERLINK("http://x")`, `@SUM(A1)`, `+1+cmd|' /C calc'!A0`, "\x1b[2J\x1b]0;owned\x07", "a\r\nSet-Cookie: x=1", "a\tb\nc", "\u202egnp.exe",
	"\u2066x\u2069", "\u009b31m", "<script>alert(1)</script>", "\ufeffx", "\u0301\u0301", "e\u0301", "\U0001f469\u200d\U0001f469", strings.Repeat("ü", 100), "\u202e\u05f3\u05f4", " lead and trail ", "\u2028",
}

// Texts that mean something to a database, a terminal, a spreadsheet or a shell are stored, counted,
// shown and told as they are, and do nothing.
func TestHostileTexts(t *testing.T) {
	h := newHouse(t)
	conn := h.connect()
	taken := make(map[string]bool)
	for i, text := range hostileTexts {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		user, err := json.Marshal(fmt.Sprintf("u%d %s", i, text))
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{
			fmt.Sprintf(`{"type":"track","userId":%s,"event":%s,"messageId":"m%d","properties":{%s:%s,"value":{%s:[%s]}}}`, user, quoted, i, quoted, quoted, quoted, quoted),
			fmt.Sprintf(`{"type":"identify","userId":%s,"traits":{%s:%s,"note":%s},"context":{"externalIds":[{"id":%s,"type":"crm_id","collection":"users"}]}}`, user, quoted, quoted, quoted, quoted),
			fmt.Sprintf(`{"type":"group","userId":%s,"groupId":%s,"traits":{%s:%s}}`, user, quoted, quoted, quoted),
			fmt.Sprintf(`{"type":"track","userId":%s,"event":"Seen","messageId":%s}`, user, quoted),
		} {
			path := "/v1/" + between(call, `"type":"`, `"`)
			a := h.ask("POST", path, call, basic(houseKey))
			if a.status != http.StatusOK && a.status != http.StatusBadRequest {
				t.Errorf("%s is answered %s", call, a)
			}
			if a.status == http.StatusOK && strings.Contains(call, fmt.Sprintf(`"messageId":"m%d"`, i)) {
				taken[text] = true
			}
		}
	}
	if len(taken) < len(hostileTexts)-5 {
		t.Errorf("only %d of %d texts are taken as names of events", len(taken), len(hostileTexts))
	}
	for text := range taken {
		name := strings.TrimSpace(text)
		var n int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM muster.events e JOIN muster.event_names n USING (event_name_id) WHERE n.name IN ($1, $2)`, text, name).Scan(&n)
		if err != nil || n != 1 {
			t.Errorf("%d events are called %q (%v)", n, text, err)
		}
	}
	h.definitions()
	h.askForTexts()
	h.showTexts()
	var tables int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'muster' AND tablename IN ('events', 'profiles', 'computations')`).Scan(&tables); err != nil || tables != 3 {
		t.Errorf("%d tables are left (%v)", tables, err)
	}
	bad := slices.DeleteFunc(complaints(&h.log), func(line string) bool { return strings.Contains(line, `"destination halted","destination":"wrong"`) })
	if len(bad) > 0 {
		t.Errorf("%d complaints in the log, the first:\n%s", len(bad), bad[0])
	}
	for line := range strings.Lines(h.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is torn: %q", line)
		}
	}
}

func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}

// plainName is what a source may be called.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// definitions makes definitions with the texts in each of their places; what is made counts as it should.
func (h *house) definitions() {
	h.Helper()
	write := bearer(h.write)
	made := 0
	for i, text := range hostileTexts {
		literal := "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
		for path, body := range map[string]map[string]any{
			"/api/v1/audiences":       {"key": fmt.Sprintf("k%d", i), "name": text, "description": text, "query": "event(" + literal + ").count() >= 1"},
			"/api/v1/computed-traits": {"key": text, "query": "event('Seen').count()"},
			"/api/v1/sources":         {"name": text},
		} {
			encoded, err := json.Marshal(body)
			if err != nil {
				h.Fatal(err)
			}
			a := h.ask("POST", path, string(encoded), write)
			switch {
			case a.status >= 500, a.status == http.StatusTooManyRequests:
				h.Errorf("POST %s %s is answered %s", path, encoded, a)
			case a.status == http.StatusCreated && path == "/api/v1/audiences":
				made++
			case a.status == http.StatusCreated && path == "/api/v1/sources" && !plainName.MatchString(text):
				h.Errorf("a source may be called %q", text)
			}
		}
		for _, query := range []string{text, "event('Seen').where(property('x') = " + text + ").count() > 1", literal, "trait(" + literal + ") = " + literal} {
			encoded, err := json.Marshal(map[string]any{"query": query})
			if err != nil {
				h.Fatal(err)
			}
			if a := h.ask("POST", "/api/v1/audiences/previews", string(encoded), write); a.status >= 500 {
				h.Errorf("a preview of %s is answered %s", encoded, a)
			}
		}
	}
	if made < len(hostileTexts)/2 {
		h.Errorf("only %d definitions of %d were taken", made, len(hostileTexts))
	}
	h.Logf("%d of %d definitions taken", made, len(hostileTexts))
	h.wait("the definitions are computed", func() bool {
		var waiting int
		err := h.connect().QueryRow(h.Context(), `SELECT count(*) FROM inspect.computations WHERE status <> 'live'`).Scan(&waiting)
		return err == nil && waiting == 0
	})
	rows, err := h.connect().Query(h.Context(), `
		SELECT c.key || ' has ' || count(v.profile_id) FROM muster.computations c LEFT JOIN muster.computed_values v ON v.computation_id = c.computation_id AND v.value = 'true'
		WHERE c.key ~ '^k[0-9]+$' GROUP BY c.key HAVING count(v.profile_id) <> 1`)
	if err != nil {
		h.Fatal(err)
	}
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(wrong) > 0 {
		h.Errorf("of each of these audiences there should be one member: %v (%v)", wrong, err)
	}
}

// askForTexts puts the texts in paths and parameters.
func (h *house) askForTexts() {
	h.Helper()
	for _, text := range append(hostileTexts, "\x00", "\xff\xfe", strings.Repeat("x", 20_000)) {
		e := url.PathEscape(text)
		q := url.QueryEscape(text)
		for _, path := range []string{
			"/api/v1/audiences/" + e, "/api/v1/computed-traits/" + e + "/members", "/api/v1/runs/" + e, "/api/v1/runs?kind=" + q, "/api/v1/sources/" + e, "/api/v1/calls?source=" + q, "/api/v1/calls?id=user_id:" + q,
			"/api/v1/destinations/" + e, "/api/v1/profiles/" + e, "/api/v1/profiles/crm_id:" + e, "/api/v1/audiences/seen/explanation?profile=" + q, "/api/v1/audiences?pagination.cursor=" + q, "/api/v1/dead-letters?destination=" + q,
			"/v1/spaces/" + e + "/collections/users/profiles/user_id:" + e + "/traits", "/v1/spaces/s/collections/users/profiles/user_id:kim/events?include=" + q + "&next=" + q, "/v1/projects/" + e + "/settings",
		} {
			header := bearer(h.read)
			if strings.HasPrefix(path, "/v1/") {
				header = basic(h.read)
			}
			a := h.ask("GET", path, "", header)
			if a.status >= 500 || a.status == http.StatusTooManyRequests || !utf8.ValidString(a.text) || !json.Valid([]byte(a.text)) && a.status < 300 || a.header.Get("Set-Cookie") != "" {
				h.Errorf("GET %.200s is answered %s", path, a)
			}
		}
	}
}

// showTexts looks at what commands print.
func (h *house) showTexts() {
	h.Helper()
	for _, args := range [][]string{
		{"audience", "list"},
		{"audience", "members", "seen"},
		{"debug", "--limit", "0"},
		{"profile", "show", "u0 " + hostileTexts[0]},
		{"profile", "show", "crm_id:" + hostileTexts[24]},
		{"delivery", "dead-letters"},
		{"explain", "seen", "crm_id:" + hostileTexts[24]},
		{"audience", "show", "k24"},
		{"audience", "preview", "event('Seen').count() >= 1"},
		{"doctor"},
		{"audience", "show", "\x1b[2J"},
		{"source", "rotate", "\x1b[2J"},
	} {
		_, _, all := h.command(args...)
		if i := strings.IndexFunc(all, func(r rune) bool {
			return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
		}); i >= 0 {
			h.Errorf("muster %q prints %q", args, all[max(0, i-60):min(len(all), i+60)])
		}
	}
	for _, args := range [][]string{{"audience", "export", "seen", "--with", "note"}, {"audience", "members", "seen", "-o", "csv"}, {"delivery", "dead-letters", "-o", "csv"}} {
		rows, err := csv.NewReader(strings.NewReader(h.must(args...))).ReadAll()
		if err != nil || len(rows) == 0 {
			h.Errorf("muster %q prints no CSV: %v", args, err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "@") || strings.HasPrefix(cell, "+1+") {
					h.Errorf("muster %q has the cell %q", args, cell)
				}
			}
		}
	}
	for _, args := range [][]string{{"profile", "show", "u0 " + hostileTexts[0], "-o", "json"}, {"debug", "-o", "json"}, {"audience", "list", "-o", "json"}} {
		if out := h.must(args...); !json.Valid([]byte(out)) {
			h.Errorf("muster %q prints no JSON: %.300s", args, out)
		}
	}
}
