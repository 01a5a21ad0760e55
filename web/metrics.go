// Package web serves the metrics of a running Muster: what this process has counted, and what
// the database says at each scrape, through the interface that it declares.
package web

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"muster/engine"
)

// Snapshot is what is read from the database for one scrape.
type Snapshot struct {
	Computations []ComputationState
	Destinations []DestinationState
	Backfill     *BackfillState // the running one, or nil
	Connections  PoolState
	Storage      []TableState
}

// ComputationState is one audience or trait.
type ComputationState struct {
	Key, Kind, Status string
	// AsOf is the slot that the values of a scheduled one are as of; zero for realtime.
	AsOf time.Time
	// Due is when the slot that follows AsOf was or will be due; zero for realtime.
	Due time.Time
	// Failing is how often its present slot has failed; 0 when it has not.
	Failing int
}

// DestinationState is what waits for one destination.
type DestinationState struct {
	Name        string
	Paused      bool
	Halted      bool
	Waiting     int64
	Oldest      time.Time        // since when the oldest waits; zero when nothing does
	Failing     int              // lanes whose oldest message has failed and is tried again
	DeadLetters map[string]int64 // those that wait for a decision, by kind, and DeadSuppressed
}

// DeadSuppressed stands in the place of a kind for dead letters of people who are suppressed.
// They need nobody's decision: they wait until these are suppressed no more.
const DeadSuppressed = "suppressed"

// BackfillState is a backfill under way.
type BackfillState struct{ Done, Total int64 }

// PoolState is the pool of database connections.
type PoolState struct {
	InUse, Idle, Max int64
	Waits            int64         // how often all were in use and somebody had to wait for one
	Waited           time.Duration // for how long, added up
}

// TableState is what a table takes, as far as PostgreSQL knows it.
type TableState struct {
	Name        string
	Rows, Bytes int64 // with indexes
}

// Inspector reads snapshots.
type Inspector interface {
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Metrics counts what happens in this process, and reads the rest at each scrape.
// It implements deliver.Metrics.
type Metrics struct {
	registry *prometheus.Registry
	told     *prometheus.CounterVec
	warnings *prometheus.CounterVec
	calls    *prometheus.CounterVec
	requests *prometheus.CounterVec
	unshown  prometheus.Counter
	slots    *prometheus.HistogramVec
	delays   *prometheus.HistogramVec
}

// scrapeTimeout bounds the reading of a snapshot.
const scrapeTimeout = 5 * time.Second

// NewMetrics returns metrics in a registry of their own.
func NewMetrics(inspector Inspector, now func() time.Time) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_messages_total", Help: "Messages handed to a destination, by what became of them.",
		}, []string{"destination", "verdict", "code"}),
		warnings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_warnings_total", Help: "What was odd in messages that were sent to a destination all the same.",
		}, []string{"destination", "warning"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_calls_total", Help: "Calls received over HTTP, by source and by what became of them.",
		}, []string{"source", "outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "muster_requests_total", Help: "Requests with calls, by the code of the answer: ok, discarded (lenient_auth), or that of the refusal.",
		}, []string{"code"}),
		unshown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "muster_debugger_dropped_total", Help: "Calls that the debugger does not show, because too many came at a time or they could not be written.",
		}),
		slots: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_slot_seconds", Help: "How long the slots of a schedule took.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"schedule"}),
		delays: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "muster_slot_delay_seconds", Help: "How long after the instant of a slot its results were there.",
			Buckets: []float64{1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600},
		}, []string{"schedule"}),
	}
	m.registry.MustRegister(m.told, m.warnings, m.calls, m.requests, m.unshown, m.slots, m.delays, &snapshots{inspector, now},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Counted notes messages that a destination has answered for.
func (m *Metrics) Counted(destination string, verdict engine.Verdict, code string, n int) {
	m.told.WithLabelValues(destination, verdictName(verdict), code).Add(float64(n))
}

// Warned notes that n messages to a destination had something odd in them; 0, when it begins,
// lets them be seen as none.
func (m *Metrics) Warned(destination, warning string, n int) {
	m.warnings.WithLabelValues(destination, warning).Add(float64(n))
}

// Received notes calls that came in over HTTP.
func (m *Metrics) Received(source, outcome string, n int) {
	m.calls.WithLabelValues(source, outcome).Add(float64(n))
}

// Answered notes a request with calls, by the code of its answer.
func (m *Metrics) Answered(code string) { m.requests.WithLabelValues(code).Inc() }

// NotShown notes calls that the debugger has dropped.
func (m *Metrics) NotShown(n int) { m.unshown.Add(float64(n)) }

// Slot notes that a slot was computed, how long that took, and how long after its instant
// it was done.
func (m *Metrics) Slot(schedule string, took, delay time.Duration) {
	m.slots.WithLabelValues(schedule).Observe(took.Seconds())
	m.delays.WithLabelValues(schedule).Observe(delay.Seconds())
}

// Built notes which program this is.
func (m *Metrics) Built(version, revision, goVersion string) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "muster_build_info", Help: "1, with the version of the program.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go": goVersion},
	}, func() float64 { return 1 }))
}

func verdictName(v engine.Verdict) string {
	switch v {
	case engine.Delivered:
		return "delivered"
	case engine.Retry:
		return "retry"
	case engine.Rejected:
		return "rejected"
	case engine.Uncertain:
		return "uncertain"
	case engine.Halt:
		return "halt"
	}
	return "unknown"
}

// snapshots collects what is read from the database at each scrape.
type snapshots struct {
	inspector Inspector
	now       func() time.Time
}

var (
	up           = describe("muster_database_up", "1 when the database answered this scrape.")
	computations = describe("muster_computation_info", "1 for each audience and trait, with its kind and status.", "key", "kind", "status")
	age          = describe("muster_computation_age_seconds", "How old the values of a scheduled audience or trait are.", "key")
	late         = describe("muster_computation_late_seconds", "For how long the next slot of a scheduled audience or trait has been due; 0 when it is not.", "key")
	failing      = describe("muster_computation_failed_attempts", "How often the present slot of an audience or trait has failed.", "key")
	waiting      = describe("muster_queue_waiting", "Messages that wait for a destination.", "destination")
	oldest       = describe("muster_queue_oldest_seconds", "How long the oldest message has waited for a destination.", "destination")
	troubled     = describe("muster_queue_failing_lanes", "Lanes of a destination whose oldest message has failed and is tried again.", "destination")
	stopped      = describe("muster_destination_stopped", "1 when a destination is paused, or has stopped by itself.", "destination", "why")
	dead         = describe("muster_dead_letters", "Messages for a destination that were set aside, by kind: all but undeliverable and suppressed wait for an operator's decision.", "destination", "kind")
	backfill     = describe("muster_backfill_profiles", "Profiles of the backfill under way.", "state")
	pool         = describe("muster_database_connections", "Connections to the database.", "state")
	waits        = describe("muster_database_waits_total", "How often somebody had to wait for a connection, because all were in use.")
	waited       = describe("muster_database_wait_seconds_total", "For how long they waited, added up.")
	rows         = describe("muster_storage_rows", "Rows of a table, as of its last VACUUM or ANALYZE.", "table")
	size         = describe("muster_storage_bytes", "Size of a table on disk, with its indexes.", "table")
)

// deadKinds are the kinds of dead letters, so that each is there with 0 too.
var deadKinds = []string{"rejected", "gave_up", "uncertain", "undeliverable", DeadSuppressed}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (*snapshots) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{up, computations, age, late, failing, waiting, oldest, troubled, stopped, dead, backfill, pool, waits, waited, rows, size} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *snapshots) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	snap, err := s.inspector.Snapshot(ctx)
	if err != nil {
		gauge(up, 0)
		return
	}
	gauge(up, 1)
	now := s.now()
	for _, c := range snap.Computations {
		gauge(computations, 1, c.Key, c.Kind, c.Status)
		if !c.AsOf.IsZero() {
			gauge(age, now.Sub(c.AsOf).Seconds(), c.Key)
			gauge(late, max(0, now.Sub(c.Due).Seconds()), c.Key)
			gauge(failing, float64(c.Failing), c.Key)
		}
	}
	for _, d := range snap.Destinations {
		gauge(waiting, float64(d.Waiting), d.Name)
		lag := 0.0
		if !d.Oldest.IsZero() {
			lag = now.Sub(d.Oldest).Seconds()
		}
		gauge(oldest, lag, d.Name)
		gauge(troubled, float64(d.Failing), d.Name)
		gauge(stopped, flag(d.Paused), d.Name, "paused")
		gauge(stopped, flag(d.Halted), d.Name, "refused")
		for _, kind := range deadKinds {
			gauge(dead, float64(d.DeadLetters[kind]), d.Name, kind)
		}
	}
	if b := snap.Backfill; b != nil {
		gauge(backfill, float64(b.Done), "done")
		gauge(backfill, float64(b.Total), "total")
	}
	gauge(pool, float64(snap.Connections.InUse), "in_use")
	gauge(pool, float64(snap.Connections.Idle), "idle")
	gauge(pool, float64(snap.Connections.Max), "max")
	ch <- prometheus.MustNewConstMetric(waits, prometheus.CounterValue, float64(snap.Connections.Waits))
	ch <- prometheus.MustNewConstMetric(waited, prometheus.CounterValue, snap.Connections.Waited.Seconds())
	for _, t := range snap.Storage {
		gauge(rows, float64(t.Rows), t.Name)
		gauge(size, float64(t.Bytes), t.Name)
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
