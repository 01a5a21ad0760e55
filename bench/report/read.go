package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"muster/bench/result"
	"muster/tests/crash"
)

// reader gets the result of a command: from the JSON that it saves, or from what it prints.
type reader struct {
	json func(text []byte, into *result.Report) error // nil: it saves none
	says func(text string, into *result.Report) error
}

// saves reads the form of bench and bench/load, as it is. What else they save beside, such
// as every look of a soak, is not kept.
var saves = reader{json: func(text []byte, into *result.Report) error {
	var r result.Report
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	if len(r.Lines) == 0 {
		return errors.New("it holds no measurement")
	}
	*into = r
	return nil
}}

// crashes reads what the crash test saves.
var crashes = reader{json: func(text []byte, into *result.Report) error {
	var c crash.Report
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	kills := c.Kills.Muster + c.Kills.Postgres + c.Kills.Both
	if kills == 0 {
		return errors.New("it holds no kill")
	}
	if c.Took == 0 || c.Verified == 0 || c.Compared == 0 {
		return fmt.Errorf("the run was broken off after %d kills, before everything was compared: it shows nothing", kills)
	}
	into.Command = fmt.Sprintf("go run ./bench/crash -n %d -seed %d", kills, c.Seed)
	if c.Processes > 1 {
		into.Command = fmt.Sprintf("go run ./bench/crash -n %d -processes %d -seed %d", kills, c.Processes, c.Seed)
	}
	if into.Ended.IsZero() {
		return errors.New("the instant of its end is not known")
	}
	into.Began = into.Ended.Add(-time.Duration(c.Took * float64(time.Second))).Truncate(time.Second)
	for _, l := range []struct {
		measure string
		value   float64
		unit    string
	}{
		{"kills of muster", float64(c.Kills.Muster), "kills"},
		{"kills of PostgreSQL", float64(c.Kills.Postgres), "kills"},
		{"kills of both", float64(c.Kills.Both), "kills"},
		{"calls answered 200", float64(c.Calls), "calls"},
		{"calls stored", float64(c.Stored), "calls"},
		{"messages", float64(c.Messages), "messages"},
		{"events that arrived again, and count once", float64(c.Again), "events"},
		{"increments and charges set aside", float64(c.Uncertain), "messages"},
		{"edits", float64(c.Edits), "edits"},
		{"backfills", float64(c.Backfills), "backfills"},
		{"slots", float64(c.Slots), "slots"},
		{"requests to Mixpanel made to fail", float64(c.Faults), "requests"},
		{"longest time without an answer 200", c.Recovery, "s"},
		{"median time without an answer 200", c.RecoveryHalf, "s"},
		{"latest change at Mixpanel", c.Late, "s"},
		{"latest slot", c.SlotLate, "s"},
		{"values compared with the reference evaluator", float64(c.Verified), "values"},
		{"other things compared", float64(c.Compared), "things"},
		{"lost, told twice, wrong", float64(len(c.Differences) + c.More), "differences"},
	} {
		into.Add(result.Line{Measure: l.measure, Value: l.value, Unit: l.unit})
	}
	return nil
}}

// captured finds the numbers and durations of a pattern in what a command prints.
func captured(text, pattern string) ([]string, error) {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("it did not print %q", pattern)
	}
	return m[1:], nil
}

// rapidSays reads how many random cases a property test has tried.
func rapidSays(text string, into *result.Report) error {
	m, err := captured(text, `\[rapid\] OK, passed (\d+) tests \(([^)]+)\)`)
	if err != nil {
		return err
	}
	cases, err := strconv.Atoi(m[0])
	if err != nil {
		return err
	}
	took, err := time.ParseDuration(m[1])
	if err != nil {
		return err
	}
	into.Add(result.Line{Measure: "random cases without a difference", Value: float64(cases), Unit: "cases"})
	into.Add(result.Line{Measure: "time", Value: took.Seconds(), Unit: "s"})
	return nil
}

// demoSays reads what the demo tells about itself.
func demoSays(text string, into *result.Report) error {
	whole, err := captured(text, `The whole demo took (\S+)\.\n`)
	if err != nil {
		return err
	}
	took, err := time.ParseDuration(whole[0])
	if err != nil {
		return err
	}
	m, err := captured(text, `: \d+ calls, (\d+) hourly slots, (\d+) messages in`)
	if err != nil {
		return err
	}
	if _, err := captured(text, `, 0 differences; 0 dead letters, 0 violations of Mixpanel's rules, 0 events sent twice\.`); err != nil {
		return err
	}
	into.Add(result.Line{Measure: "whole demo", Value: took.Seconds(), Unit: "s"})
	for i, unit := range []string{"slots", "messages"} {
		n, err := strconv.Atoi(m[i])
		if err != nil {
			return err
		}
		into.Add(result.Line{Measure: unit, Value: float64(n), Unit: unit})
	}
	return nil
}
