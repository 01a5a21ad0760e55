package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"

	"muster/internal/pgserver"
)

// The files for containers and services name commands, flags, paths and versions that exist.
func TestPackagingFitsTheProgram(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	find := func(text, pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("nothing is like %s", pattern)
		}
		return m[1]
	}
	command := func(words []string) {
		t.Helper()
		cmd, rest, err := newRoot(&environment{}).Find(words)
		if err != nil || cmd.Name() != words[0] {
			t.Errorf("there is no command %v: %v", words, err)
			return
		}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.AddFlagSet(cmd.Flags())
		if err := flags.Parse(rest); err != nil || flags.NArg() > 0 {
			t.Errorf("%v: %v, and %v are left over", words, err, flags.Args())
		}
	}

	docker := read("Dockerfile")
	var words []string
	if err := yaml.Unmarshal([]byte(find(docker, `(?m)^CMD (.*)$`)), &words); err != nil {
		t.Fatal(err)
	}
	command(words)
	if toolchain := find(read("go.mod"), `(?m)^go (\d+\.\d+)`); find(docker, `FROM golang:(\d+\.\d+)`) != toolchain {
		t.Errorf("the image builds with another Go than go.mod's %s", toolchain)
	}
	if find(docker, `-X (main\.\w+)=`) != "main.version" || !strings.Contains(read("cmd/muster/version.go"), "var version = ") {
		t.Error("the version is not set where muster version looks for it")
	}
	if _, err := os.Stat("../../" + find(docker, `go build .* (\./\S+)\n`)); err != nil {
		t.Error(err)
	}
	if words[len(words)-1] != "0.0.0.0:"+find(docker, `EXPOSE (\d+)`) || !strings.Contains(docker, "127.0.0.1:"+find(docker, `EXPOSE (\d+)`)+"/healthz") {
		t.Error("the ports of the image differ")
	}

	unit := strings.Fields(find(read("packaging/muster.service"), `(?m)^ExecStart=/usr/local/bin/muster (.*)$`))
	command(unit)

	var compose struct {
		Services map[string]struct {
			Image, Build string
			Environment  map[string]string
			Volumes      []string
			Ports        []string
		}
	}
	if err := yaml.Unmarshal([]byte(read("compose.yaml")), &compose); err != nil {
		t.Fatal(err)
	}
	muster, postgres := compose.Services["muster"], compose.Services["postgres"]
	major := 0
	for _, digit := range find(postgres.Image, `^postgres:(\d+)$`) {
		major = major*10 + int(digit-'0')
	}
	if major < pgserver.OldestMajor || major > pgserver.NewestMajor {
		t.Errorf("compose.yaml has PostgreSQL %d; %d to %d are tested", major, pgserver.OldestMajor, pgserver.NewestMajor)
	}
	if muster.Build != "." || muster.Environment["DATABASE_URL"] != "postgres://"+postgres.Environment["POSTGRES_USER"]+":${POSTGRES_PASSWORD}@postgres:5432/"+postgres.Environment["POSTGRES_DB"] {
		t.Errorf("muster does not find its database: %v", muster)
	}
	if want := "./muster.yaml:" + words[2] + ":ro"; len(muster.Volumes) != 1 || muster.Volumes[0] != want {
		t.Errorf("the configuration is mounted as %v, want %s", muster.Volumes, want)
	}
	if len(muster.Ports) != 1 || !strings.HasSuffix(muster.Ports[0], ":"+find(docker, `EXPOSE (\d+)`)) {
		t.Errorf("the port is published as %v", muster.Ports)
	}
}
