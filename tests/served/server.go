package served

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Options say what is run.
type Options struct {
	Program string    // path of the muster binary
	Dir     string    // for the configuration and the private PostgreSQL; one that may be entered by anybody
	Config  string    // the text of muster.yaml
	Log     io.Writer // receives the log of the process; nil discards it
	Env     []string  // more variables of its environment, NAME=value
	Args    []string  // more arguments of muster serve
}

// Server is a muster serve that can be started several times, one after the other, on
// the same folder. It is for one goroutine.
type Server struct {
	options  Options
	cmd      *exec.Cmd // nil when it is not running
	ended    chan error
	url      string
	database string
}

// How long a process may take to serve and, once told, to end.
const (
	startPatience = 60 * time.Second
	stopPatience  = 60 * time.Second
)

// New writes the configuration. It starts nothing.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	s := &Server{options: o}
	if err := os.WriteFile(s.configFile(), []byte(o.Config), 0o600); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) configFile() string { return filepath.Join(s.options.Dir, "muster.yaml") }

// Start runs muster serve on a free port of loopback and returns when it serves.
func (s *Server) Start(ctx context.Context) error {
	if s.cmd != nil {
		return errors.New("muster is running already")
	}
	args := append([]string{"serve", "--config", s.configFile(), "--data", filepath.Join(s.options.Dir, "pg"), "--listen", "127.0.0.1:0"}, s.options.Args...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), s.options.Program, args...)
	cmd.Env = append(os.Environ(), s.options.Env...)
	log := &watcher{to: s.options.Log, serving: make(chan announcement, 1)}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start muster: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	patience := time.NewTimer(startPatience)
	defer patience.Stop()
	select {
	case a := <-log.serving:
		s.cmd, s.ended = cmd, ended
		s.url, s.database = "http://"+a.listen, a.database
		return nil
	case err := <-ended:
		return fmt.Errorf("muster ended before it served: %w\n%s", err, log.tail())
	case <-ctx.Done():
	case <-patience.C:
	}
	killed := cmd.Process.Kill()
	<-ended //nolint:errcheck // it was killed
	return errors.Join(fmt.Errorf("muster did not come to serve\n%s", log.tail()), killed)
}

// SetEnv adds variables, NAME=value, to the environment of the starts to come.
func (s *Server) SetEnv(variables ...string) { s.options.Env = append(s.options.Env, variables...) }

// URL is where the Tracking API is; it changes with every start.
func (s *Server) URL() string { return s.url }

// Database is the address of the private PostgreSQL, which lives as long as muster does.
func (s *Server) Database() string { return s.database }

// PID is the number of the process; it has to be running.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Running tells whether muster was started and has not been stopped or killed.
func (s *Server) Running() bool { return s.cmd != nil }

// Terminate asks muster to end, waits, and returns an error unless it ended well.
func (s *Server) Terminate() error { return s.end(syscall.SIGTERM) }

// Kill ends muster at once, without letting it know.
func (s *Server) Kill() error {
	err := s.end(syscall.SIGKILL)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && killed(exit) {
		return nil
	}
	return err
}

func killed(e *exec.ExitError) bool {
	status, ok := e.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Wait waits for muster to end by itself and returns how it ended.
func (s *Server) Wait() error { return s.end(nil) }

// end sends a signal, if there is one, and waits for the end.
func (s *Server) end(signal os.Signal) error {
	if s.cmd == nil {
		return nil
	}
	cmd := s.cmd
	s.cmd = nil
	var sent error
	if signal != nil {
		sent = cmd.Process.Signal(signal)
	}
	select {
	case err := <-s.ended:
		return errors.Join(sent, err)
	case <-time.After(stopPatience):
		killed := cmd.Process.Kill()
		<-s.ended //nolint:errcheck // it was killed
		return errors.Join(fmt.Errorf("muster did not end within %v", stopPatience), sent, killed)
	}
}
