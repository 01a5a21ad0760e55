package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every code that a call may be answered with stands in the manual.
func TestCodesOfTheManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/tracking.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`\b[Cc]ode\w+ +(?:event\.)?Code += "(\w+)"`)
	known := 0
	for _, folder := range []string{"event", "ingest", "app"} {
		files, err := filepath.Glob("../../" + folder + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range code.FindAllStringSubmatch(string(text), -1) {
				if m[1] == "ok" || m[1] == "discarded" { // for metrics only
					continue
				}
				known++
				if !strings.Contains(string(page), "`"+m[1]+"`") {
					t.Errorf("docs/tracking.md does not tell of %s, see %s", m[1], file)
				}
			}
		}
	}
	if known < 35 {
		t.Errorf("only %d codes were found", known)
	}
}
