package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"muster/mixpanel/mixpaneltest"
)

// fakeProcess, set in the environment, makes the program play Mixpanel instead. The fake
// is a process of its own so that its processor time can be told from the product's.
const fakeProcess = "MUSTER_BENCH_FAKE"

// playMixpanel says on out where it listens, and ends with in.
func playMixpanel(in io.Reader, out io.Writer) error {
	s := mixpaneltest.NewServer(mixpaneltest.Options{KeepEvents: 100_000, KeepRequests: 100})
	url, err := s.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, url)
	_, _ = io.Copy(io.Discard, in)
	return s.Close()
}

// fake is Mixpanel in another process.
type fake struct {
	url string
	cmd *exec.Cmd
	in  io.WriteCloser
}

func startFake(ctx context.Context) (*fake, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f := &fake{cmd: exec.CommandContext(ctx, program)}
	f.cmd.Env = append(os.Environ(), fakeProcess+"=1")
	f.cmd.Stderr = os.Stderr
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the fake: %w", err)
	}
	if _, err := fmt.Fscanln(out, &f.url); err != nil {
		return nil, fmt.Errorf("the fake does not say where it listens: %w", err)
	}
	return f, nil
}

func (f *fake) stop() error {
	if err := f.in.Close(); err != nil {
		return err
	}
	return f.cmd.Wait()
}

// cpu is the processor time of the fake so far, 0 where the system does not tell.
func (f *fake) cpu() time.Duration {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(f.cmd.Process.Pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system = 11, 12
	return time.Duration(number64(fields[user])+number64(fields[system])) * tick
}

// holds is what the fake says about itself.
type holds struct {
	Violations int `json:"violations"`
	Orphans    int `json:"orphans"`
	Dropped    int `json:"dropped"`
	Projects   []struct {
		Profiles int `json:"profiles"`
		Events   int `json:"events"`
	} `json:"projects"`
}

func (f *fake) holds(ctx context.Context) (h holds, err error) {
	return h, f.ask(ctx, http.MethodGet, "/", "", &h)
}

func (f *fake) reset(ctx context.Context) error {
	return f.ask(ctx, http.MethodPost, "/_fake/reset", "", nil)
}

func (f *fake) faults(ctx context.Context, script string) error {
	return f.ask(ctx, http.MethodPost, "/_fake/faults", script, nil)
}

func (f *fake) ask(ctx context.Context, method, path, body string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, f.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s of the fake: %s: %s", path, resp.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
