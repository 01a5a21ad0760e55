package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of processor time in /proc, the same on all Linux systems.
const tick = 10 * time.Millisecond

// processorTime is what this process, muster and muster's children have used so far.
func processorTime(muster int) (u usage, ok bool) {
	parents := make(map[int]int)
	times := make(map[int]time.Duration)
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u, false
	}
	for _, name := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			continue
		}
		if parent, time, ok := readStat(name); ok {
			parents[pid], times[pid] = parent, time
		}
	}
	u.Generator, u.Muster = times[os.Getpid()], times[muster]
	for pid, time := range times {
		if below(parents, pid, muster) {
			u.PostgreSQL += time
		}
	}
	return u, u.Muster > 0
}

// memory is the anonymous memory of a process in bytes: what it holds itself, without the files that it
// has mapped; 0 if it has ended.
func memory(pid int) float64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	_, after, found := bytes.Cut(text, []byte("RssAnon:"))
	fields := bytes.Fields(after)
	if !found || len(fields) == 0 {
		return 0
	}
	kilobytes, _ := strconv.ParseFloat(string(fields[0]), 64) // the kernel writes numbers
	return 1024 * kilobytes
}

// below tells whether a process descends from another.
func below(parents map[int]int, pid, ancestor int) bool {
	for p, ok := parents[pid]; ok && p > 1; p, ok = parents[p] {
		if p == ancestor {
			return true
		}
	}
	return false
}

// readStat reads the parent of a process and the time it and its ended children used.
func readStat(name string) (parent int, used time.Duration, ok bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, 0, false // it has ended
	}
	// The name of the program, in brackets, may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return 0, 0, false
	}
	number := func(field int) int64 {
		n, _ := strconv.ParseInt(string(fields[field]), 10, 64) // the kernel writes numbers
		return n
	}
	ticks := number(11) + number(12) + number(13) + number(14)
	return int(number(1)), time.Duration(ticks) * tick, true
}
