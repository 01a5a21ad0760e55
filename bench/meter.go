package main

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/bench/result"
)

// meter is a stopwatch on every statement of a pool: it tells for how long the product
// waited for which answer of the database. What is left of the time is its own.
type meter struct {
	mu      sync.Mutex
	waited  map[string]time.Duration // by statement
	all     time.Duration            // of what is watched, in all workers together
	active  int                      // how many are watched now; other statements do not count
	within  int                      // statements that run now
	overlap bool                     // more of them ran at once than were watched: waiting is counted twice
	retries int                      // transactions that were begun anew
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waited, m.all, m.retries, m.overlap = make(map[string]time.Duration), 0, 0, false
}

// watch runs f and counts its time as time of the product.
func (m *meter) watch(f func() error) error {
	m.mu.Lock()
	m.active++
	m.mu.Unlock()
	began := time.Now()
	err := f()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.active--
	m.all += time.Since(began)
	return err
}

// again is how many transactions were begun anew after a conflict.
func (m *meter) again() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.retries
}

// phases divides what was spent by n things. Statements that make up less than a
// hundredth are put together.
func (m *meter) phases(name, per string, n int) result.Phases {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := result.Phases{Case: name, Per: per}
	rest := m.all
	var small time.Duration
	phase := func(name string, d time.Duration) result.Phase {
		return result.Phase{Name: name, Micros: float64(d.Nanoseconds()) / 1e3 / float64(n), Share: float64(d) / float64(m.all)}
	}
	for statement, d := range m.waited {
		rest -= d
		if d < m.all/100 {
			small += d
			continue
		}
		p.Spent = append(p.Spent, phase(statement, d))
	}
	itself := "the engine itself"
	if rest < 0 || m.overlap {
		itself += ", less what ran at the same time"
	}
	p.Spent = append(p.Spent, phase(itself, rest))
	slices.SortFunc(p.Spent, func(a, b result.Phase) int { return cmp.Compare(b.Micros, a.Micros) })
	p.Spent = append(p.Spent, phase("other statements", small))
	return p
}

func (m *meter) add(statement string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.within--
	if m.active == 0 {
		return
	}
	m.waited[statement] += d
	if statement == "rollback" {
		m.retries++
	}
}

// mark is when a statement began; the answers of a batch come together, so that it is
// one statement here.
type mark struct {
	statements []string
	at         time.Time
}

type markKey struct{}

func (m *meter) begin(ctx context.Context, statements ...string) context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.within++
	m.overlap = m.overlap || m.active > 0 && m.within > m.active
	return context.WithValue(ctx, markKey{}, &mark{statements, time.Now()})
}

func (m *meter) end(ctx context.Context) {
	if begun, ok := ctx.Value(markKey{}).(*mark); ok {
		m.add(strings.Join(begun.statements, ", "), time.Since(begun.at))
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (m *meter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	return m.begin(ctx, label(q.SQL))
}

// TraceQueryEnd implements pgx.QueryTracer.
func (m *meter) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) { m.end(ctx) }

// TraceBatchStart implements pgx.BatchTracer.
func (m *meter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	var statements []string
	for _, q := range b.Batch.QueuedQueries {
		text := label(q.SQL)
		verb, table, _ := strings.Cut(text, " ")
		if len(statements) > 0 && strings.HasPrefix(statements[0], verb+" ") {
			text = table
		}
		if !slices.Contains(statements, text) {
			statements = append(statements, text)
		}
	}
	return m.begin(ctx, statements...)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (m *meter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (m *meter) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) { m.end(ctx) }

// TraceCopyFromStart implements pgx.CopyFromTracer.
func (m *meter) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, c pgx.TraceCopyFromStartData) context.Context {
	return m.begin(ctx, "copy "+c.TableName[len(c.TableName)-1])
}

// TraceCopyFromEnd implements pgx.CopyFromTracer.
func (m *meter) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromEndData) {
	m.end(ctx)
}

var (
	written = regexp.MustCompile(`(?i)\b(INSERT INTO|UPDATE|DELETE FROM)\s+([a-z_]+)`)
	read    = regexp.MustCompile(`(?i)\b(?:FROM|JOIN)\s+([a-z_]+)`)
	called  = regexp.MustCompile(`(?i)^SELECT\s+([a-z_]+)\(`)

	labels sync.Map // of statements seen before
)

// label is what a statement does to which table.
func label(sql string) string {
	if known, ok := labels.Load(sql); ok {
		return known.(string)
	}
	text := newLabel(strings.TrimSpace(sql))
	labels.Store(sql, text)
	return text
}

func newLabel(sql string) string {
	if f := called.FindStringSubmatch(sql); f != nil {
		return "select " + f[1]
	}
	writes := slices.DeleteFunc(written.FindAllStringSubmatch(sql, -1), func(w []string) bool { return strings.EqualFold(w[2], "set") })
	if len(writes) > 0 {
		last := writes[len(writes)-1] // what moves rows deletes them first
		return strings.ToLower(strings.Fields(last[1])[0] + " " + last[2])
	}
	for _, table := range read.FindAllStringSubmatch(sql, -1) {
		if table[1] != "unnest" && table[1] != "generate_series" {
			return "select " + table[1]
		}
	}
	verb, _, _ := strings.Cut(strings.ToLower(sql), " ")
	return verb
}
