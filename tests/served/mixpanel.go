package served

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"syscall"
)

// FakeMixpanel runs muster's imitation of Mixpanel as a process of its own, on a free port
// of loopback, until stop is called. It keeps no events, so that it does not grow.
func FakeMixpanel(ctx context.Context, program string) (url string, stop func(), err error) {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "fake-mixpanel", "--listen", "127.0.0.1:0", "--keep-events", "1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start the imitation of Mixpanel: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // what it thinks of the end is no matter
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	address := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	if err != nil || address == "" {
		stop()
		return "", nil, fmt.Errorf("the imitation of Mixpanel did not say where it is, but %q (%w)", line, err)
	}
	return address, stop, nil
}
