// Package ground_test takes away from muster serve, one by one, what it stands on: its
// database, the room of its disk, its clock, its configuration, the names of the network. It
// checks what its users see meanwhile, and that afterwards what was answered 200 is there,
// once, counted and told. docs/faults.md is its table.
package ground_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/internal/pgtest"
	"muster/mixpanel/mixpaneltest"
	"muster/tests/served"
)

const writeKey = "key-of-the-ground-test"

// configuration has one computation that every call changes, so that each transaction
// writes an event, a state, a value and a message.
func configuration(mixpanel string) string {
	return fmt.Sprintf(`
sources:
  - {name: app, write_key: %s}
destinations:
  - {name: mixpanel, settings: {token: %s, base_url: %q}}
traits:
  - {name: Orders, key: orders, query: "event('Order Completed').count()"}
`, writeKey, mixpaneltest.DefaultToken, mixpanel)
}

func TestMain(m *testing.M) { served.Main(m) }

// world is a muster with its surroundings.
type world struct {
	*testing.T
	muster   *served.Server
	fake     *mixpaneltest.Server
	database string // its address, not over the wire
	wire     *wire  // nil: muster is connected directly
	dir      string
	log      served.Lines
}

// options say what a world is like.
type options struct {
	database string   // address of its database; "": one of its own, over a wire
	private  string   // folder of a private PostgreSQL instead of a database
	dsn      string   // more parameters of the address, such as &pool_max_conns=2
	env      []string // of muster
}

// newWorld starts muster.
func newWorld(t *testing.T, o options) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	w := &world{T: t, fake: mixpaneltest.Start(t, mixpaneltest.Options{}), database: o.database, dir: t.TempDir()}
	env := o.env
	if o.private == "" {
		if w.database == "" {
			w.database = pgtest.DSN(t)
		}
		env = append(env, "DATABASE_URL="+w.overWire(o.dsn))
	} else {
		w.dir = o.private
	}
	var err error
	w.muster, err = served.New(served.Options{Program: served.Program(t), Dir: w.dir, Config: configuration(w.fake.URL()), Log: &w.log, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.muster.Running() {
			_ = w.muster.Kill() // only when the test has failed already
		}
		if t.Failed() {
			t.Logf("the log ends with\n%s", w.log.Tail(15))
		}
	})
	w.start()
	return w
}

func (w *world) start() {
	w.Helper()
	if err := w.muster.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	if w.muster.Database() != "" {
		w.database = w.muster.Database()
	}
}

// overWire makes a wire to the database, and the address at its near end.
func (w *world) overWire(parameters string) string {
	w.Helper()
	c, err := pgx.ParseConfig(w.database)
	if err != nil {
		w.Fatal(err)
	}
	network, target := "tcp", net.JoinHostPort(c.Host, fmt.Sprint(c.Port))
	if strings.HasPrefix(c.Host, "/") {
		network, target = "unix", filepath.Join(c.Host, fmt.Sprintf(".s.PGSQL.%d", c.Port))
	}
	w.wire = newWire(w.T, network, target)
	near := url.URL{Scheme: "postgres", User: url.UserPassword(c.User, c.Password), Host: w.wire.address, Path: "/" + c.Database}
	return near.String() + "?sslmode=disable" + parameters
}

// connect opens a connection of the test's own.
func (w *world) connect() *pgx.Conn {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.database)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = conn.Close(context.Background()) }) // the database may be gone
	return conn
}

// do runs a statement.
func do(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// get is the status and the text of an answer; 0 if there is none.
func (w *world) get(path string) (int, string) {
	web := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := web.Get(w.muster.URL() + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := io.Copy(&text, answer.Body); err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, text.String()
}

// awaitReady waits until /readyz answers so, and says so; /healthz is well all the time.
func (w *world) awaitReady(status int, says string) {
	w.Helper()
	var last string
	eventually(w.T, 20*time.Second, fmt.Sprintf("/readyz answers %d and says %q", status, says), func() bool {
		if code, text := w.get("/healthz"); code != http.StatusOK {
			w.Fatalf("/healthz answers %d %s", code, text)
		}
		code, text := w.get("/readyz")
		last = fmt.Sprint(code, " ", text)
		return code == status && strings.Contains(text, says)
	})
	w.Logf("/readyz: %s", strings.TrimSpace(last))
}

// command runs another command of muster, with the server's configuration, and gives its
// exit code and all that it printed.
func (w *world) command(env []string, args ...string) (int, string) {
	w.Helper()
	return runMuster(w.T, env, append(args, "--config", filepath.Join(w.dir, "muster.yaml"), "--database", w.database)...)
}

func runMuster(t *testing.T, env []string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), served.Program(t), args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// check stops the traffic and holds what is stored, computed and told to the answers. Then
// muster must end well.
func (w *world) check(c *traffic) {
	w.Helper()
	c.stop()
	w.awaitReady(http.StatusOK, "ready")
	conn := w.connect()
	w.checkStored(conn, c)
	w.checkCounted(conn)
	if err := w.muster.Terminate(); err != nil {
		w.Error(err)
	}
}

// checkStored holds the event log to the answers.
func (w *world) checkStored(conn *pgx.Conn, c *traffic) {
	w.Helper()
	w.Logf("%d calls sent, %d answered 200; answers by status: %v", len(c.sent), len(c.answered), c.codes)
	for _, f := range c.faults[:min(3, len(c.faults))] {
		w.Errorf("a batch was answered %s", f)
	}
	if len(c.answered) < clientCount*batchSize {
		w.Errorf("only %d calls were answered 200", len(c.answered))
	}
	stored := make(map[string]int)
	each(w.T, conn, `SELECT message_id, count(*) FROM muster.events GROUP BY message_id`, func(id string, n int) { stored[id] = n })
	missing, doubled, strange := 0, 0, 0
	for id := range c.answered {
		if stored[id] == 0 {
			missing++
		}
	}
	for id, n := range stored {
		if n > 1 {
			doubled++
		}
		if !c.sent[id] {
			strange++
		}
	}
	if missing+doubled+strange > 0 {
		w.Errorf("of %d calls answered 200, %d are missing; %d are stored more than once, %d were never sent", len(c.answered), missing, doubled, strange)
	}
}

// checkCounted holds values and what Mixpanel was told to the stored events.
func (w *world) checkCounted(conn *pgx.Conn) {
	w.Helper()
	orders, computed := make(map[string]int), make(map[string]int)
	each(w.T, conn, `
		SELECT x.id_value, count(*) FROM muster.events e JOIN muster.external_ids x USING (bucket, profile_id)
		WHERE x.id_type = 'user_id' GROUP BY x.id_value`, func(user string, n int) { orders[user] = n })
	each(w.T, conn, `
		SELECT x.id_value, v.value::text::int
		FROM muster.computed_values v JOIN muster.computations c USING (computation_id) JOIN muster.external_ids x USING (bucket, profile_id)
		WHERE x.id_type = 'user_id' AND c.key = 'orders'`, func(user string, n int) { computed[user] = n })
	for user, n := range orders {
		if computed[user] != n {
			w.Errorf("%s has %d orders, computed are %d", user, n, computed[user])
		}
	}
	eventually(w.T, 30*time.Second, "Mixpanel holds what is computed", func() bool {
		for user, n := range orders {
			p, _ := w.fake.Profile(mixpaneltest.DefaultToken, user)
			if p.Properties["orders"] != float64(n) {
				return false
			}
		}
		return true
	})
	for _, v := range w.fake.Violations() {
		w.Errorf("Mixpanel's rules were broken: %v", v)
	}
}

// each reads rows of a text and a number.
func each(t *testing.T, conn *pgx.Conn, statement string, take func(string, int)) {
	t.Helper()
	rows, err := conn.Query(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&text, &n}, func() error {
		take(text, n)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// errors counts the lines of the level ERROR by their message.
func (w *world) errors() map[string]int {
	found := make(map[string]int)
	for line := range strings.Lines(w.log.String()) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Level == "ERROR" {
			found[entry.Msg]++
		}
	}
	return found
}
