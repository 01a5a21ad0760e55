package served

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Of the tests of a package that share one muster.
var (
	shared    string // folder of it; empty: nobody has asked for it
	buildOnce = sync.OnceValues(func() (string, error) {
		dir, err := TempDir()
		if err != nil {
			return "", err
		}
		shared = dir
		return Build(context.Background(), dir)
	})
)

// Main is the TestMain of a package whose tests use Program.
func Main(m *testing.M) {
	code := m.Run()
	if shared != "" {
		if err := os.RemoveAll(shared); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

// Program is the path of a muster that is built when the first test of a package asks for it.
func Program(t testing.TB) string {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return program
}
