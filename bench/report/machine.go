package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// watched is how long the machine is watched before and after a benchmark.
const watched = 3 * time.Second

// busyCores is how many cores do something now, while nothing of this command runs; nil where
// the system does not tell it in a file.
func busyCores(ctx context.Context) *float64 {
	before, _, ok := ticks()
	if !ok {
		return nil
	}
	select {
	case <-time.After(watched):
	case <-ctx.Done():
		return nil
	}
	after, perSecond, _ := ticks()
	cores := float64(after-before) / perSecond / watched.Seconds()
	return &cores
}

// ticks are the ticks that all cores have worked since the machine started, those included that
// its host has taken for others.
func ticks() (busy uint64, perSecond float64, ok bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	var user, nice, system, idle, wait, irq, softIRQ, steal uint64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softIRQ, &steal); err != nil {
		return 0, 0, false
	}
	return user + nice + system + irq + softIRQ + steal, 100, true // on all Linux systems
}

// memory of the machine in bytes, 0 where the system does not tell it in a file.
func memory() uint64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kilobytes uint64
	if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kilobytes); err != nil {
		return 0
	}
	return kilobytes * 1024
}

// commit of the code, and whether it was changed since; empty if that is not known.
func commit(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=10", "HEAD").Output()
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(text))
	if exec.CommandContext(ctx, "git", "diff", "--quiet", "HEAD", "--", "*.go", "*.sql", "go.mod").Run() != nil {
		name += ", changed"
	}
	return name
}
