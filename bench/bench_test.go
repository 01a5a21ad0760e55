package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"muster/bench/result"
	"muster/internal/pgserver"
)

// shared is the server of all Go benchmarks of the package.
var shared struct {
	sync.Once
	server *server
	err    error
}

func TestMain(m *testing.M) {
	if os.Getenv(fakeProcess) != "" {
		if err := playMixpanel(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// small runs a benchmark of the command at a size that takes seconds: the same code, and
// the same comparisons of results, as at the sizes that say something.
func small(b *testing.B, name string, args ...string) {
	b.Helper()
	shared.Do(func() { shared.server, shared.err = startServer(context.Background(), os.Getenv("DATABASE_URL")) })
	if none := (*pgserver.NotFoundError)(nil); errors.As(shared.err, &none) && os.Getenv("CI") != "true" {
		b.Skip(shared.err)
	} else if shared.err != nil {
		b.Fatal(shared.err)
	}
	for b.Loop() {
		r := result.New(name, "", "", shared.server.Version(), shared.server.Private(), time.Now())
		for _, m := range benchmarks {
			if m.name != name {
				continue
			}
			set := flag.NewFlagSet(name, flag.ContinueOnError)
			measure := m.flags(set)
			if err := set.Parse(args); err != nil {
				b.Fatal(err)
			}
			if err := measure(b.Context(), &bench{server: shared.server, report: r, log: io.Discard}); err != nil {
				b.Fatal(err)
			}
		}
		if len(r.Lines) == 0 {
			b.Fatal("nothing was measured")
		}
		if l := r.Lines[0]; l.Value <= 0 {
			b.Fatalf("%s: %v %s", l.Measure, l.Value, l.Unit)
		} else if l.Baseline != "" {
			b.ReportMetric(l.Speed, "times-the-baseline")
		}
	}
}

func BenchmarkImport(b *testing.B) { small(b, "import", "-events", "5000") }

func BenchmarkRealtime(b *testing.B) {
	small(b, "realtime", "-events", "4000", "-profiles", "1000", "-history", "5000", "-batch", "500", "-definitions", "1")
}

func BenchmarkHourly(b *testing.B) { small(b, "hourly", "-events", "30000", "-steps", "2") }

func BenchmarkConstant(b *testing.B) {
	small(b, "constant", "-events", "10000,30000", "-steps", "2")
}

func BenchmarkPlan(b *testing.B)     { small(b, "plan", "-events", "20000", "-profiles", "5000") }
func BenchmarkBackfill(b *testing.B) { small(b, "backfill", "-events", "20000") }

func BenchmarkMerge(b *testing.B) { small(b, "merge", "-sizes", "10", "-merges", "20") }

func BenchmarkSQL(b *testing.B) { small(b, "sql", "-events", "20000") }

func BenchmarkStorage(b *testing.B) { small(b, "storage", "-events", "5000") }

func BenchmarkIdle(b *testing.B) { small(b, "idle", "-events", "2000", "-for", "1s") }

func BenchmarkMapper(b *testing.B) { small(b, "mapper", "-for", "10ms") }

func BenchmarkDeliver(b *testing.B) {
	small(b, "deliver", "-messages", "5000", "-sample", "5000", "-standing", "5000")
}
