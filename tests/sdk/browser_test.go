package sdk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"syscall"
	"testing"
)

// browser is a driver in a page of a headless Chromium. The page asks for commands.
type browser struct {
	commands chan command
	outcomes chan outcome
}

// startBrowser opens the page, whose library is to send to host, until the test ends. more
// are further parameters of the page.
func startBrowser(t *testing.T, chromium, host string, more url.Values) *browser {
	t.Helper()
	b := &browser{commands: make(chan command), outcomes: make(chan outcome)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "drivers/browser.html")
	})
	library := http.FileServer(http.Dir("node_modules/@segment/analytics-next/dist/umd"))
	mux.Handle("GET /umd/", http.StripPrefix("/umd/", library))
	mux.Handle("GET /analytics-next/bundles/", http.StripPrefix("/analytics-next/bundles/", library))
	mux.HandleFunc("POST /next", b.next)
	pages := httptest.NewServer(mux)
	t.Cleanup(pages.Close)

	query := url.Values{"host": {host}, "writeKey": {writeKey}}
	maps.Copy(query, more)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), chromium,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+t.TempDir(), pages.URL+"/?"+query.Encode())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its children, too; they may be gone
		_ = cmd.Wait()                                      // says that it was killed
		pages.CloseClientConnections()
	})
	ctx, cancel := context.WithTimeout(t.Context(), stepPatience)
	defer cancel()
	select { // the page reports once when it is ready
	case o := <-b.outcomes:
		if err := o.err(); err != nil {
			t.Fatalf("the page could not start: %v", err)
		}
	case <-ctx.Done():
		t.Fatal("the page did not start")
	}
	return b
}

// next takes the outcome of a command and answers with the next one.
func (b *browser) next(w http.ResponseWriter, r *http.Request) {
	var o outcome
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case b.outcomes <- o:
	case <-r.Context().Done():
		return
	}
	select {
	case c := <-b.commands:
		_ = json.NewEncoder(w).Encode(c) // the page may be gone
	case <-r.Context().Done():
	}
}

func (b *browser) do(ctx context.Context, c command) error {
	_, err := b.ask(ctx, c)
	return err
}

// ask has a command done and returns all that came of it.
func (b *browser) ask(ctx context.Context, c command) (outcome, error) {
	select {
	case b.commands <- c:
	case <-ctx.Done():
		return outcome{}, fmt.Errorf("%s: the page does not ask for commands: %w", c.Command, ctx.Err())
	}
	select {
	case o := <-b.outcomes:
		return o, o.err()
	case <-ctx.Done():
		return outcome{}, fmt.Errorf("%s: %w", c.Command, ctx.Err())
	}
}
