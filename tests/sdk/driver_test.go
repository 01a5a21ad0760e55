package sdk_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"testing"
	"time"
)

// command is what a driver is to do with its library.
//
//	calls  one of each of the six calls, and the visit that alias joins; Group is an account
//	track  Count events with the property number, from 0, Every so many milliseconds
//	told   what the page has told Mixpanel itself; of browsers in device mode
//	flush  wait until the library has delivered what it was given, if it can wait
type command struct {
	Command   string `json:"command"`
	User      string `json:"user,omitempty"`
	Anonymous string `json:"anonymous,omitempty"`
	Previous  string `json:"previous,omitempty"`
	Group     string `json:"group,omitempty"`
	Event     string `json:"event,omitempty"`
	Count     int    `json:"count,omitempty"`
	Every     int    `json:"every,omitempty"`
}

// outcome is how a command went.
type outcome struct {
	Error string `json:"error"`
	Told  []told `json:"told"` // by told
}

func (o outcome) err() error {
	if o.Error == "" {
		return nil
	}
	return errors.New(o.Error)
}

// driver is a program in which a library runs.
type driver interface {
	// do has a command done and returns how it went.
	do(ctx context.Context, c command) error
}

// process is a driver that talks over standard input and output.
type process struct {
	in    io.Writer
	lines chan string // of its standard output; closed at the end
}

// startProcess runs a driver until the test ends.
func startProcess(t *testing.T, dir, program string, args ...string) *process {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Dir, cmd.Stderr = dir, t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{in: in, lines: make(chan string)}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		in.Close() // it ends at the end of its input
		hard := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		for range p.lines {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the driver ended badly: %v", err)
		}
		hard.Stop()
	})
	return p
}

func (p *process) do(ctx context.Context, c command) error {
	if err := json.NewEncoder(p.in).Encode(c); err != nil {
		return err
	}
	select {
	case line, ok := <-p.lines:
		var o outcome
		if !ok {
			return errors.New("the driver has ended")
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			return fmt.Errorf("the driver said %q: %w", line, err)
		}
		return o.err()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", c.Command, ctx.Err())
	}
}
