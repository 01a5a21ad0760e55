package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLogsSayUnits(t *testing.T) {
	var out bytes.Buffer
	env := &environment{err: &out}
	env.logger(slog.LevelInfo).Info("run", "took", 61802*time.Microsecond, "profiles", 7)
	if line := out.String(); !strings.Contains(line, `"took":"61.802ms"`) || !strings.Contains(line, `"profiles":7`) {
		t.Error(line)
	}
}
