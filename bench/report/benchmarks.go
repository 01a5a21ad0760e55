package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// benchmark is a command whose result is kept.
type benchmark struct {
	name    string
	command string // what a reader runs
	small   string // the same in seconds
	minutes int    // that it takes about, on two cores
	long    bool   // runs only if it is named
	read    reader
}

// graph is what the soak draws, beside the page that shows it.
const graph = "docs/soak.svg"

// benchmarks in the order in which they run.
var benchmarks = []benchmark{
	{"import", "go run ./bench import", "go run ./bench import -events 5000", 1, false, saves},
	{
		"realtime", "go run ./bench realtime -definitions 1 -batch 5000 -workers 2 -events 400000",
		"go run ./bench realtime -definitions 1 -batch 5000 -workers 2 -events 10000 -history 5000 -profiles 1000", 2, false, saves,
	},
	{
		"batches", "go run ./bench realtime -definitions 1 -batch 100,1000,5000 -workers 1,2 -events 50000",
		"go run ./bench realtime -definitions 1 -batch 100,1000,5000 -workers 1,2 -events 5000 -history 5000 -profiles 1000", 2, false, saves,
	},
	{
		"definitions", "go run ./bench realtime -definitions 1,2,3 -batch 5000 -workers 2 -events 50000 -history 100000",
		"go run ./bench realtime -definitions 1,2,3 -batch 500 -workers 2 -events 2000 -history 2000 -profiles 500", 2, false, saves,
	},
	{
		"sustained", "go run ./bench realtime -definitions 1 -batch 5000 -workers 2 -sustain 10m -divide=false",
		"go run ./bench realtime -definitions 1 -batch 500 -workers 2 -sustain 35s -divide=false -history 5000 -profiles 1000", 11, false, saves,
	},
	{"hourly", "go run ./bench hourly -events 1000000,5000000 -steps 3", "go run ./bench hourly -events 10000,30000 -steps 2", 5, false, saves},
	{"hourly-20m", "go run ./bench hourly -events 20000000 -steps 3", "go run ./bench hourly -events 50000 -steps 2", 25, true, saves},
	{"constant-20m", "go run ./bench constant", "go run ./bench constant -events 10000,30000 -steps 2", 10, true, saves},
	{"backfill", "go run ./bench backfill -events 5000000", "go run ./bench backfill -events 20000", 2, false, saves},
	{"backfill-20m", "go run ./bench backfill -events 20000000", "go run ./bench backfill -events 50000", 6, true, saves},
	{"plan", "go run ./bench plan", "go run ./bench plan -events 20000 -profiles 5000", 3, false, saves},
	{"merge", "go run ./bench merge", "go run ./bench merge -sizes 10,100 -merges 20", 1, false, saves},
	{"sql", "go run ./bench sql", "go run ./bench sql -events 20000", 3, false, saves},
	{"storage", "go run ./bench storage", "go run ./bench storage -events 5000", 1, false, saves},
	{"idle", "go run ./bench idle", "go run ./bench idle -events 2000 -for 1s", 2, false, saves},
	{"mapper", "go run ./bench mapper", "go run ./bench mapper -for 10ms", 1, false, saves},
	{"deliver", "go run ./bench deliver", "go run ./bench deliver -messages 5000 -sample 5000 -standing 5000", 4, false, saves},
	{"http-batch", "go run ./bench/load -batch 100 -connections 64", "go run ./bench/load -batch 100 -connections 8 -events 2000 -users 500", 1, false, saves},
	{"http-single", "go run ./bench/load -single -rate 1000", "go run ./bench/load -single -rate 100 -events 300 -users 500", 1, false, saves},
	{"demo", "go run ./cmd/muster demo", "go run ./cmd/muster demo", 1, false, reader{says: demoSays}},
	{
		"property", "go test ./app -run TestPropertyStoredIsTheReference -rapid.checks=200 -count=1 -timeout 0 -v",
		"go test ./app -run TestPropertyStoredIsTheReference -rapid.checks=1 -count=1 -timeout 0 -v", 1, false,
		reader{says: rapidSays},
	},
	{
		"property-folds", "go test ./engine -run TestFoldsAreTheReference -rapid.checks=1000000 -count=1 -timeout 0 -v",
		"go test ./engine -run TestFoldsAreTheReference -rapid.checks=50 -count=1 -timeout 0 -v", 15, true,
		reader{says: rapidSays},
	},
	{"crash", "go run ./bench/crash -n 1000", "go run ./bench/crash -n 2 -quick", 40, true, crashes},
	{"crash-two", "go run ./bench/crash -n 1000 -processes 2", "go run ./bench/crash -n 2 -processes 2 -quick", 60, true, crashes},
	{"soak", "go run ./bench/load -soak 2h -rate 80 -graph " + graph, "go run ./bench/load -soak 1m -rate 5 -users 500", 125, true, saves},
}

// named finds a benchmark.
func named(name string) (benchmark, error) {
	i := slices.IndexFunc(benchmarks, func(b benchmark) bool { return b.name == name })
	if i < 0 {
		var names []string
		for _, b := range benchmarks {
			names = append(names, b.name)
		}
		return benchmark{}, fmt.Errorf("there is no benchmark %q; there are %s", name, strings.Join(names, ", "))
	}
	return benchmarks[i], nil
}

func list(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tMINUTES\tRUNS\tCOMMAND")
	for _, b := range benchmarks {
		when := "by default"
		if b.long {
			when = "if named"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", b.name, b.minutes, when, b.command)
	}
	return w.Flush()
}
