package ground_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/internal/pgtest"
)

// Without its database muster answers 503, and says that it is not ready; it stays, and goes
// on by itself when the database is back.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	c := startTraffic(w.muster.URL())
	c.must(t, 20)
	w.wire.cut()
	w.awaitReady(http.StatusServiceUnavailable, "the database does not answer")
	if _, text := w.get("/metrics"); !strings.Contains(text, "muster_database_up 0\n") {
		t.Errorf("muster_database_up is not 0 in\n%s", text)
	}
	time.Sleep(time.Second)
	w.wire.mend(t)
	w.awaitReady(http.StatusOK, "ready")
	c.must(t, 20)
	w.check(c)
	if c.codes[http.StatusServiceUnavailable] == 0 {
		t.Error("nobody was told to come again")
	}
	// Of what many requests met the log has a line when it began, sums, and a line when it was over.
	errors := w.errors()
	t.Logf("answers %v, errors in the log %v", c.codes, errors)
	lines := errors["calls could not be stored"] + errors["the sources of requests cannot be looked up"]
	if ends := strings.Count(w.log.String(), "calls are stored again") + strings.Count(w.log.String(), "the sources of requests are found again"); lines == 0 || lines > 6 || ends == 0 || ends > 2 {
		t.Errorf("%d lines of the log are of requests, and %d of the end", lines, ends)
	}
}

// A slow way to the database makes answers slow, and nothing else.
func TestConnectionSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	c := startTraffic(w.muster.URL())
	c.must(t, 10)
	w.wire.slow(15 * time.Millisecond)
	c.must(t, 12)
	w.awaitReady(http.StatusOK, "ready")
	w.wire.slow(0)
	w.check(c)
	if c.codes[http.StatusOK] == 0 || len(c.codes) > 1 {
		t.Errorf("answers by status: %v", c.codes)
	}
}

// A database that says nothing, without breaking connections off, makes muster wait and say
// so. What waited is answered when it goes on.
func TestDatabaseFrozen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	c := startTraffic(w.muster.URL())
	c.must(t, 10)
	w.wire.freeze()
	w.awaitReady(http.StatusServiceUnavailable, "the database does not answer")
	time.Sleep(time.Second)
	w.wire.thaw()
	w.awaitReady(http.StatusOK, "ready")
	c.must(t, 10)
	w.check(c)
	if c.codes[http.StatusOK] == 0 || len(c.codes) > 1 {
		t.Errorf("answers by status: %v", c.codes)
	}
}

// Two connections are few for all that muster does at a time; it does the same, one after the other.
func TestPoolOfTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{dsn: "&pool_max_conns=2"})
	c := startTraffic(w.muster.URL())
	c.must(t, 60)
	w.awaitReady(http.StatusOK, "ready")
	w.check(c)
	if len(c.codes) > 1 {
		t.Errorf("answers by status: %v", c.codes)
	}
}

// Others have taken all connections that the database gives. Its own are broken off as well, so
// that it has none.
func TestNoConnectionsLeft(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	admin, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	// A limit binds only those who are no superusers.
	config := admin.Config()
	role := fmt.Sprintf("ground_%d", time.Now().UnixNano())
	do(t, admin, "CREATE ROLE "+role+" LOGIN IN ROLE "+config.User)
	defer func() { // it belongs to the server, not to the test's database
		_, err := admin.Exec(context.Background(), "REASSIGN OWNED BY "+role+" TO "+config.User+"; DROP OWNED BY "+role+"; DROP ROLE "+role)
		if err != nil {
			t.Error(err)
		}
	}()
	w := newWorld(t, options{database: dsn, dsn: "&user=" + role})
	c := startTraffic(w.muster.URL())
	c.must(t, 10)
	do(t, admin, "ALTER ROLE "+role+" CONNECTION LIMIT 0")
	do(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+role+"'")
	w.awaitReady(http.StatusServiceUnavailable, "the database does not answer")
	eventually(t, 15*time.Second, "the log says why", func() bool { return strings.Contains(w.log.String(), "too many connections for role") })
	do(t, admin, "ALTER ROLE "+role+" CONNECTION LIMIT -1")
	w.awaitReady(http.StatusOK, "ready")
	c.must(t, 10)
	w.check(c)
}

// Somebody's transaction that stays open keeps dead rows from being removed, and harms nobody else.
func TestLongTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	c := startTraffic(w.muster.URL())
	other := w.connect()
	do(t, other, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	do(t, other, "SELECT count(*) FROM muster.events")
	c.must(t, 60)
	w.awaitReady(http.StatusOK, "ready")
	do(t, other, "ROLLBACK")
	w.check(c)
	if len(c.codes) > 1 {
		t.Errorf("answers by status: %v", c.codes)
	}
}

// Somebody holds a lock on a table that every call is written to.
func TestTableLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	c := startTraffic(w.muster.URL())
	c.must(t, 10)
	other := w.connect()
	do(t, other, "BEGIN")
	do(t, other, "LOCK TABLE muster.events IN ACCESS EXCLUSIVE MODE")
	w.awaitReady(http.StatusServiceUnavailable, "calls wait")
	do(t, other, "ROLLBACK")
	w.awaitReady(http.StatusOK, "ready")
	c.must(t, 10)
	w.check(c)
	if len(c.codes) > 1 {
		t.Errorf("answers by status: %v", c.codes)
	}
}
