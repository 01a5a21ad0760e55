package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muster/internal/pgserver"
	"muster/tests/served"
)

// system is what is killed: one muster serve with a private PostgreSQL, which ends when that
// does, or two on a PostgreSQL that is given to them, which outlive it.
type system struct {
	dir       string
	program   string
	processes []*served.Server
	postgres  *pgserver.Server // given; nil while it does not run, and with one process
	dsn       string           // of the given one, which stays
	bag       []blow           // to come
}

func newSystem(o Options, config string) (*system, error) {
	s := &system{dir: o.Dir, program: o.Program}
	for range o.Processes {
		process, err := served.New(served.Options{Program: o.Program, Dir: o.Dir, Config: config, Log: o.Log, Env: []string{"DATABASE_URL="}})
		if err != nil {
			return nil, err
		}
		s.processes = append(s.processes, process)
	}
	return s, nil
}

// start starts what does not run.
func (s *system) start(ctx context.Context) error {
	if len(s.processes) > 1 && s.postgres == nil {
		if err := s.startPostgres(ctx); err != nil {
			return err
		}
	}
	for _, p := range s.processes {
		if p.Running() {
			continue
		}
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startPostgres starts the PostgreSQL that is given to two processes.
func (s *system) startPostgres(ctx context.Context) (err error) {
	if s.postgres, err = pgserver.Start(ctx, pgserver.Options{Dir: s.data()}); err != nil || s.dsn != "" {
		return err
	}
	s.dsn = s.postgres.DSN()
	for _, p := range s.processes {
		p.SetEnv("DATABASE_URL=" + s.dsn)
	}
	return nil
}

// data is the folder of PostgreSQL.
func (s *system) data() string { return filepath.Join(s.dir, "pg") }

// urls are where the running processes serve.
func (s *system) urls() (urls []string) {
	for _, p := range s.processes {
		if p.Running() {
			urls = append(urls, p.URL())
		}
	}
	return urls
}

func (s *system) database() string {
	if len(s.processes) > 1 {
		return s.dsn
	}
	return s.processes[0].Database()
}

// blow is what is killed at once.
type blow struct {
	muster   int // processes
	postgres bool
}

// strike picks a blow. Of three in a row one is against muster, one against PostgreSQL
// and one against both, in a random order.
func (s *system) strike(r *rand.Rand) (b blow) {
	if len(s.bag) == 0 {
		s.bag = []blow{{muster: 1}, {postgres: true}, {muster: 1, postgres: true}}
		r.Shuffle(len(s.bag), func(i, j int) { s.bag[i], s.bag[j] = s.bag[j], s.bag[i] })
	}
	b, s.bag = s.bag[0], s.bag[1:]
	if b.muster > 0 && r.IntN(4) == 0 {
		b.muster = len(s.processes)
	}
	return b
}

// String says what is killed.
func (b blow) String() string {
	switch {
	case b.muster > 0 && b.postgres:
		return fmt.Sprintf("muster (%d) and PostgreSQL", b.muster)
	case b.postgres:
		return "PostgreSQL"
	}
	return fmt.Sprintf("muster (%d)", b.muster)
}

// hit delivers a blow. It returns when everything that it kills is dead.
func (s *system) hit(b blow, r *rand.Rand) error {
	if b.postgres && b.muster > 0 && r.IntN(2) == 0 { // either may be the first to die
		if err := s.stopPostgres(); err != nil {
			return err
		}
		b.postgres = false
	}
	for _, i := range r.Perm(len(s.processes))[:b.muster] {
		p := s.processes[i]
		if err := p.Kill(); err != nil && len(s.processes) > 1 { // the single one may have followed its PostgreSQL
			return fmt.Errorf("kill muster: %w", err)
		}
	}
	if b.postgres {
		if err := s.stopPostgres(); err != nil {
			return err
		}
	}
	if len(s.processes) > 1 {
		return nil
	}
	return s.settle()
}

// stopPostgres stops PostgreSQL as pg_ctl stop -m immediate does: no session ends well, and
// the next start has to recover.
func (s *system) stopPostgres() error {
	text, err := os.ReadFile(filepath.Join(s.data(), "data", "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // the private one has ended with its muster
	}
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 1 {
		return fmt.Errorf("postmaster.pid begins with %q", line)
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	if len(s.processes) == 1 {
		return nil
	}
	select {
	case <-s.postgres.Done():
	case <-time.After(time.Minute):
		return errors.New("PostgreSQL does not end")
	}
	_ = s.postgres.Stop() // gives its folder back; that it did not end well is known
	s.postgres = nil
	return nil
}

// settle waits until a private PostgreSQL and its muster, one of which was killed, are
// both gone.
func (s *system) settle() error {
	p := s.processes[0]
	if p.Running() { // it cannot go on without PostgreSQL
		if err := p.Wait(); err == nil {
			return errors.New("muster ended as if all were well")
		}
	}
	return nil
}

// lost are the processes that have ended although nobody killed them.
func (s *system) lost() (n int) {
	for _, p := range s.processes {
		if p.Running() && errors.Is(syscall.Kill(p.PID(), 0), syscall.ESRCH) {
			n++
		}
	}
	return n
}

// end stops what runs, kindly.
func (s *system) end() error {
	var errs []error
	for _, p := range s.processes {
		if p.Running() {
			errs = append(errs, p.Terminate())
		}
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Stop())
		s.postgres = nil
	}
	return errors.Join(errs...)
}

// command runs a command of muster on the database and returns what it prints.
func (s *system) command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.program, append(args, "--config", s.configFile())...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+s.database())
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("muster %s: %w\n%s%s", strings.Join(args, " "), err, complaint.String(), out)
	}
	return out, nil
}

func (s *system) configFile() string { return filepath.Join(s.dir, "muster.yaml") }

// configure replaces the configuration, at one instant.
func (s *system) configure(text string) error {
	next := s.configFile() + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.configFile())
}

// postgresLog is the end of what a PostgreSQL that does not start says.
func (s *system) postgresLog() string {
	const shown = 2_000
	text, err := os.ReadFile(filepath.Join(s.data(), "start.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-shown):])
}
