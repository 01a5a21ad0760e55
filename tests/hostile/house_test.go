package hostile_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
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

func TestMain(m *testing.M) { served.Main(m) }

// The secrets of a house. None is shorter than what could stand somewhere by chance.
const (
	houseKey       = "wk-SECRET-of-the-configured-source"
	houseToken     = "5ec2e7a11ce05ec2e7a11ce05ec2e7a1"
	houseAPISecret = "5ec2e7b22df15ec2e7b22df15ec2e7b2"
	houseAccount   = "SECRET-of-the-service-account-x9"
	housePassword  = "SECRET-p%40ss-of-the-database"
)

// house is a muster with everything that it has doors for: sources, tokens, destinations with
// each kind of credential, definitions, and people.
type house struct {
	*testing.T
	muster      *served.Server
	fake        *mixpaneltest.Server
	dir         string
	dsn         string // of muster, with a password
	log         served.Lines
	read, write string // tokens
	web         *http.Client
}

func newHouse(t *testing.T) *house {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	// Each destination is a project of its own: what two of them do at the same time is no fault.
	fake := mixpaneltest.Start(t, mixpaneltest.Options{Projects: []mixpaneltest.Project{
		{Token: houseToken},
		{Token: "1" + houseToken[1:], Secret: houseAPISecret},
		{Token: "2" + houseToken[1:], ProjectID: "42", ServiceAccounts: map[string]string{"robot": houseAccount}},
		{Token: "3" + houseToken[1:], Secret: "another"},
	}})
	c, err := pgx.ParseConfig(pgtest.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, fake: fake, dir: t.TempDir(), web: &http.Client{
		Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	h.dsn = fmt.Sprintf("postgres://%s:%s@/%s?host=%s&port=%d", c.User, housePassword, c.Database, c.Host, c.Port)
	h.muster, err = served.New(served.Options{
		Program: served.Program(t), Dir: h.dir, Log: &h.log, Args: []string{"--verbose"}, Env: []string{"DATABASE_URL=" + h.dsn},
		Config: fmt.Sprintf(`
api: {rate: 1000000}
sources:
  - {name: web, write_key: %[1]s}
destinations:
  - {name: plain, settings: {token: %[3]s, base_url: %[2]q}, sources: [web]}
  - {name: secret, settings: {token: "1%[6]s", api_secret: %[4]s, base_url: %[2]q}}
  - {name: account, settings: {token: "2%[6]s", service_account_username: robot, service_account_secret: %[5]s, mixpanel_project_id: 42, base_url: %[2]q}}
  - {name: wrong, settings: {token: "3%[6]s", api_secret: %[4]s-wrong, base_url: %[2]q}, sources: [web]}
  - {name: nowhere, settings: {token: "4%[6]s", api_secret: %[4]s, base_url: "http://127.0.0.1:1"}, sources: [web]}
audiences:
  - {name: Seen, query: "event('Seen').count() >= 1", include_anonymous: true, connections: [{destination: plain, emit: both}, {destination: secret, emit: track}, {destination: account, emit: track}, {destination: wrong, emit: track}, {destination: nowhere}]}
`, houseKey, fake.URL(), houseToken, houseAPISecret, houseAccount, houseToken[1:]),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.muster.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.muster.Running() {
			_ = h.muster.Kill() // only when the test has failed already
		}
	})
	h.read = strings.TrimSpace(h.must("token", "create", "reader"))
	h.write = strings.TrimSpace(h.must("token", "create", "writer", "--scope", "write"))
	return h
}

// command runs a command of muster on the house's database.
func (h *house) command(args ...string) (code int, out, all string) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, served.Program(h), append(args, "--config", filepath.Join(h.dir, "muster.yaml"))...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+h.dsn)
	cmd.Dir = h.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		h.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stdout.String() + stderr.String()
}

// must runs a command that has to work, and gives what it prints.
func (h *house) must(args ...string) string {
	h.Helper()
	code, out, all := h.command(args...)
	if code != 0 {
		h.Fatalf("muster %s ends with %d: %s", strings.Join(args, " "), code, all)
	}
	return out
}

// answer is what a request was answered.
type answer struct {
	status int
	header http.Header
	text   string
}

func (a answer) String() string { return fmt.Sprintf("%d %v %.300s", a.status, a.header, a.text) }

// ask makes a request. Headers are NAME: VALUE.
func (h *house) ask(method, path, body string, header ...string) answer {
	h.Helper()
	req, err := http.NewRequestWithContext(h.Context(), method, h.muster.URL()+path, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	got, err := h.web.Do(req)
	if err != nil {
		h.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		h.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(text)}
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// connect opens a connection of the test's own.
func (h *house) connect() *pgx.Conn {
	h.Helper()
	conn, err := pgx.Connect(h.Context(), h.dsn)
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test is over
	return conn
}

// wait waits until a condition holds, for 20 seconds at most.
func (h *house) wait(what string, holds func() bool) {
	h.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("waited in vain: %s", what)
		}
	}
}
