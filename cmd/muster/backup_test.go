package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"muster/internal/pgtest"
)

// A dump that is taken and restored as the manual says is Muster again.
func TestBackupAndRestore(t *testing.T) {
	bin := pgtest.Bin(t)
	if bin == "" {
		t.Skip("pg_dump of the same version is needed, and the server is not a local one")
	}
	r, url, dsn, _ := startServe(t)
	for _, call := range []string{order("kim", "m1", 60), order("lee", "m2", 150)} {
		if status := send(url+"/v1/track", writeKey, call); status != 200 {
			t.Fatalf("answered %d", status)
		}
	}
	pool := database(t, dsn)
	eventually(t, "all is told", func() bool { return one[int](t, pool, waiting) == 0 })

	dump, copied := filepath.Join(t.TempDir(), "muster.dump"), pgtest.Empty(t)
	for _, command := range [][]string{ // while it serves
		{"pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file=" + dump, dsn},
		{"pg_restore", "--exit-on-error", "--no-owner", "--no-privileges", "--dbname=" + copied, dump},
	} {
		if out, err := exec.CommandContext(t.Context(), filepath.Join(bin, command[0]), command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command[0], err, out)
		}
	}
	if code := r.wait(t); code != exitOK {
		t.Fatalf("serve ended with %d", code)
	}
	variables := map[string]string{"DATABASE_URL": copied, "WRITE_KEY": writeKey, "MIXPANEL_TOKEN": testToken, "MIXPANEL_URL": "http://127.0.0.1:1"}
	config := writeFile(t, "muster.yaml", serveConfig)
	if code := <-background(t, variables, "verify", "--config", config).done; code != exitOK {
		t.Errorf("muster verify ends with %d", code)
	}
	again := background(t, variables, "serve", "--config", config, "--listen", "127.0.0.1:0")
	url = again.serving(t)
	if status := send(url+"/v1/track", writeKey, order("kim", "m1", 60)); status != 200 { // a duplicate, there too
		t.Errorf("answered %d", status)
	}
	if status := send(url+"/v1/track", writeKey, order("kim", "m3", 60)); status != 200 {
		t.Errorf("answered %d", status)
	}
	restored := database(t, copied)
	if events, members := one[int](t, restored, `SELECT count(*) FROM muster.events`), one[int](t, restored, `SELECT count(*) FROM inspect.members`); events != 3 || members != 4 {
		t.Errorf("%d events and %d memberships, want 3 and 4: kim has become a big spender", events, members)
	}
	again.stop()
}
