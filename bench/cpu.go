package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"muster/bench/result"
)

// cpu is processor time so far: that of this process and that of a private PostgreSQL,
// 0 where the system does not tell. On a machine that others use too it is a better
// measure than the time on the clock.
type cpu struct{ own, postgres time.Duration }

func (s *server) cpu() cpu { return cpu{ownCPU(), s.postgresCPU()} }

func (c cpu) since(before cpu) cpu { return cpu{c.own - before.own, c.postgres - before.postgres} }

func (c cpu) plus(o cpu) cpu { return cpu{c.own + o.own, c.postgres + o.postgres} }

// addCPU notes the processor time that n things took.
func (b *bench) addCPU(name, per string, c cpu, n int) {
	for _, part := range []struct {
		name string
		time time.Duration
	}{{"Go", c.own}, {"PostgreSQL", c.postgres}} {
		if part.time > 0 {
			b.report.Add(result.Line{Case: name, Measure: "processor time, " + part.name, Value: float64(part.time.Microseconds()) / float64(n), Unit: "us/" + per})
		}
	}
}

// tick is the unit of /proc/PID/stat on all Linux systems.
const tick = 10 * time.Millisecond

// postgresCPU adds up the server's processes: those that live, and those that the
// postmaster has seen end.
func (s *server) postgresCPU() time.Duration {
	if !s.Private() {
		return 0
	}
	text, err := os.ReadFile(filepath.Join(s.Dir(), "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster := strings.TrimSpace(first)
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	var ticks int64
	for _, f := range files {
		stat, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		// The name, in brackets, may hold anything; the fields follow it.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 15 {
			continue
		}
		const parent, user, system, childUser, childSystem = 1, 11, 12, 13, 14
		pid := filepath.Base(filepath.Dir(f))
		switch {
		case pid == postmaster:
			ticks += number64(fields[user]) + number64(fields[system]) + number64(fields[childUser]) + number64(fields[childSystem])
		case fields[parent] == postmaster:
			ticks += number64(fields[user]) + number64(fields[system])
		}
	}
	return time.Duration(ticks) * tick
}

func number64(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
