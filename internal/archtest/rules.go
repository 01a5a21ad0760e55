// Package archtest holds the project's import rules as data, and the tests that
// keep the code to them. It has no other code.
package archtest

// module is the path of this module.
const module = "muster"

// rows lists the packages from the bottom up. A package may import those of lower
// rows, never one of its own row: neighbours meet through small interfaces that
// their user declares. A path ending in /... stands for all packages below it. A
// package that is not listed fails the test, so that its place is thought about.
var rows = [][]string{
	{"event", "migrations"},
	{"query", "identity"},
	{"engine"},
	{"ingest", "web", "scheduler", "deliver", "scenario", "mixpanel", "store"},
	{"config", "app"},
	{"demo", "bench", "lab", "api"},
	{"cmd/..."},
	{"tests/served"},                // the program as its users start it
	{"tests/...", "bench/load"},     // of the whole program, from outside
	{"bench/crash", "bench/report"}, // run it and its benchmarks, at length
}

// neighbours are the imports within a row that are allowed, each with its reason.
var neighbours = map[edge]string{
	{"store", "deliver"}:   "store.Queue implements deliver.Queue, whose methods name deliver's types",
	{"store", "web"}:       "store reads what web shows, behind the interface that web declares, which names its types",
	{"store", "ingest"}:    "store looks up sources behind the interface that ingest declares, which names its types",
	{"store", "scheduler"}: "store keeps the slots behind the interface that scheduler declares, which names its types",
}

// edge is an import of one package of this module by another, both without the module's path.
type edge struct{ from, to string }

// helpers stand outside of the rows: who may import them, besides tests. Nothing
// stands for a helper that only tests use.
var helpers = map[string][]string{
	"internal/pgserver":     {"internal/pgtest", "app", "demo", "scenario", "bench", "cmd/...", "tests/..."},
	"internal/pgtest":       {"scenario", "bench", "cmd/...", "tests/..."},
	"internal/archtest":     {},
	"ingest/ingesttest":     {},
	"bench/result":          {"bench", "bench/load", "bench/report", "bench/crash"},
	"mixpanel/mixpaneltest": {"demo", "scenario", "lab", "bench", "cmd/...", "tests/..."},
	"query/querytest":       {"scenario", "bench", "cmd/...", "tests/..."},
}

// pure lists the packages that decide without acting, and the modules each may
// import besides the standard library.
var pure = map[string][]string{
	"event":    {"github.com/go-json-experiment/json"},
	"query":    {"github.com/go-json-experiment/json", "github.com/shopspring/decimal"},
	"identity": {"github.com/go-json-experiment/json"},
	"engine":   {"github.com/go-json-experiment/json", "github.com/shopspring/decimal", "github.com/google/uuid"},
}

// acting are the packages of the standard library through which a program acts on
// the world. Pure packages import none of them.
var acting = []string{"database/sql", "log", "log/slog", "net", "net/http", "os", "os/exec", "os/signal", "syscall"}

// clocks are the places that may read the clock. Everybody else is given the time.
var clocks = []string{"cmd/...", "internal/...", "bench/...", "tests/...", "mixpanel/mixpaneltest"}

// licences that a linked module may have.
var licences = []string{"MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Apache-2.0"}
