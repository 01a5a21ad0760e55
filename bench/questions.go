package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"muster/bench/result"
	"muster/engine"
)

// questions are the statements of docs/sql.md, and what stands in them for things of the
// log that the page looks at.
const (
	questionsPage = "docs/sql.md"
	somebody      = "'c-17850'"
	monthBegins   = "'2011-11-01T00:00:00Z'"
	monthEnds     = "'2011-12-01T00:00:00Z'"
)

// askedOf are the audiences that the page asks for.
func askedOf() []definition {
	ordered := names[4].name
	return []definition{
		audience("buyers", "1", part{ordered, anyEvent, 0, "count"}),
		audience("active_7_days", "1", part{ordered, anyEvent, 7, "count"}),
	}
}

// question is a statement with the comment above it.
type question struct{ text, sql string }

func questionsFlags(set *flag.FlagSet) func(context.Context, *bench) error {
	events := set.Int("events", 5_000_000, "stored `events`")
	seed := set.Uint64("seed", 1, "of the generated traffic")
	return func(ctx context.Context, b *bench) error {
		t := &Traffic{Seed: *seed, Profiles: *events / 20, Start: historyStart, Hours: 24 * historyDays, Events: *events}
		return ask(ctx, b, t)
	}
}

// ask measures the statements that the manual gives to people who look into the database.
func ask(ctx context.Context, b *bench, t *Traffic) error {
	questions, err := readQuestions()
	if err != nil {
		return err
	}
	d, err := b.server.newDatabase(ctx, "")
	if err != nil {
		return err
	}
	defer d.drop(ctx)
	if _, err := d.load(ctx, t, b.say); err != nil {
		return err
	}
	now := t.End()
	if _, _, err := d.define(ctx, slices.Concat(realtime(), windowed(), askedOf()), now); err != nil {
		return err
	}
	if _, err := d.engine.RunSlot(ctx, engine.DefaultSchedule, now.Add(time.Hour), now.Add(time.Hour)); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	var busiest string
	err = d.Pool().QueryRow(ctx, `SELECT id_value FROM external_ids WHERE id_type = 'user_id' AND profile_id =
		(SELECT profile_id FROM events WHERE ts >= $1 GROUP BY 1 ORDER BY count(*) DESC LIMIT 1)`, now.Add(-24*time.Hour)).Scan(&busiest)
	if err != nil {
		return err
	}
	month := t.Start.AddDate(0, 1, 1-t.Start.Day())
	here := strings.NewReplacer(somebody, literal(busiest), monthBegins, literal(month.Format(time.RFC3339)), monthEnds, literal(month.AddDate(0, 1, 0).Format(time.RFC3339)))
	whole, _, err := d.answer(ctx, `SELECT count(*) FROM events`)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s events, %s profiles, %d definitions", result.Number(float64(t.Events)), result.Number(float64(t.Profiles)), len(realtime())+len(windowed())+len(askedOf()))
	for _, q := range questions {
		took, rows, err := d.answer(ctx, here.Replace(q.sql))
		if err != nil {
			return fmt.Errorf("%s: %w", q.text, err)
		}
		b.say("%6.1f ms, %d rows: %s", took, rows, q.text)
		b.report.Add(result.Line{Case: name, Measure: q.text, Value: took, Unit: "ms", Baseline: "counting the events", Against: whole})
	}
	b.report.Note("The statements of %s, for the busiest person of the last day, and a month that begins on %s; the median of three runs, with all rows fetched.", questionsPage, month.Format(time.DateOnly))
	return nil
}

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// answer runs a statement three times and returns how many milliseconds the middle run took.
func (d *database) answer(ctx context.Context, sql string) (took float64, rows int, err error) {
	var times []time.Duration
	for range 3 {
		began := time.Now()
		found, err := d.Pool().Query(ctx, sql, pgx.QueryExecModeExec)
		if err != nil {
			return 0, 0, err
		}
		rows = 0
		for found.Next() {
			rows++
		}
		if err := found.Err(); err != nil {
			return 0, 0, err
		}
		times = append(times, time.Since(began))
	}
	return median(times), rows, nil
}

var sqlBlock = regexp.MustCompile("(?ms)^```sql\\n(.*?)^```$")

// readQuestions reads the page, from the project's folder or a folder below it.
func readQuestions() ([]question, error) {
	folder, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			break
		}
		if filepath.Dir(folder) == folder {
			return nil, errors.New("run it in the folder of the project, where docs is")
		}
		folder = filepath.Dir(folder)
	}
	page, err := os.ReadFile(filepath.Join(folder, questionsPage))
	if err != nil {
		return nil, err
	}
	return parseQuestions(string(page))
}

func parseQuestions(page string) (all []question, err error) {
	for _, m := range sqlBlock.FindAllStringSubmatch(page, -1) {
		for sql := range strings.SplitSeq(m[1], ";\n") {
			sql = strings.TrimSpace(sql)
			if sql == "" {
				continue
			}
			q := question{sql: sql}
			if text, rest, found := strings.Cut(sql, "\n"); found && strings.HasPrefix(text, "-- ") {
				q.text, q.sql = strings.TrimPrefix(text, "-- "), rest
			} else {
				q.text = strings.Join(strings.Fields(sql), " ")
				q.text = q.text[:min(len(q.text), 72)]
			}
			q.text = strings.TrimSuffix(q.text, " (usually none)")
			all = append(all, q)
		}
	}
	for _, sample := range []string{somebody, monthBegins, monthEnds} {
		if !strings.Contains(page, sample) {
			return nil, fmt.Errorf("%s does not ask for %s any more, which stands for something that this log does not have", questionsPage, sample)
		}
	}
	return all, nil
}
