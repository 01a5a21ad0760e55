package query_test

import (
	"strings"
	"testing"
	"time"

	"muster/query"
)

func comparisons(n int) string {
	return strings.TrimSuffix(strings.Repeat("trait('x') = 1 AND ", n), " AND ")
}

func TestLimits(t *testing.T) {
	for _, row := range []struct{ what, text, code string }{
		{"50 comparisons", comparisons(50), ""},
		{"51 comparisons", comparisons(51), query.CodeTooMany},
		{"51 with those inside where", comparisons(25) + " AND event('A').where(" + strings.ReplaceAll(comparisons(25), "trait", "property") + ").count() > 0", query.CodeTooMany},
		{"32 brackets", strings.Repeat("(", 32) + "trait('x'", query.CodeTooDeep},
		{"31 brackets and a call", strings.Repeat("(", 31) + "trait('x') = 1" + strings.Repeat(")", 31), ""},
		{"unclosed brackets", strings.Repeat("(", query.MaxLength), query.CodeTooDeep},
		{"square brackets", "trait('x').one_of(" + strings.Repeat("[", 9000), query.CodeUnexpectedToken},
		{"NOT without end", strings.Repeat("NOT ", query.MaxLength/4), query.CodeTooDeep},
		{"nested calls", strings.Repeat("event('A').where(", 900), query.CodeTooDeep},
		{"calls without end", "trait('x')" + strings.Repeat(".x()", 4000), query.CodeUnknownFunction},
		{"16 KiB", comparisons(1) + strings.Repeat(" ", query.MaxLength-len(comparisons(1))), ""},
		{"more than 16 KiB", comparisons(1) + strings.Repeat(" ", query.MaxLength), query.CodeTooLong},
		{"16 KiB that print longer", "trait('x') = '" + strings.Repeat(`\d`, query.MaxLength/2-10) + "'", query.CodeTooLong},
		{"31 levels that print deeper", strings.Repeat("(", 29) + "event('A').where(property('x') = 1 OR property('y').one_of((1), 2)).where(property('z') = 1).count() > 0" + strings.Repeat(")", 29), ""},
		{"a megabyte", strings.Repeat("(", 1<<20), query.CodeTooLong},
		{"comparisons without end", comparisons(860), query.CodeTooMany},
		{"faults without end", strings.Repeat("? ", 8000), query.CodeLex},
		{"dots", strings.Repeat(".", query.MaxLength), query.CodeUnexpectedToken},
		{"brackets closed", strings.Repeat(")", query.MaxLength), query.CodeUnexpectedToken},
		{"a long list", "trait('x').one_of(" + strings.Repeat("1,", 5000) + "1)", ""},
		{"digits", "trait('x') = " + strings.Repeat("9", 16000), query.CodeLex},
		{"a long path", "trait('" + strings.Repeat("a.", 8000) + "a') = 1", query.CodeBadPath},
		{"a long name", strings.Repeat("a", 16000) + "('x')", query.CodeUnknownFunction},
		{"curly quotes", strings.Repeat("‘", 5000), query.CodeLex},
	} {
		d, diagnostics := query.Compile(row.text, query.CheckOptions{})
		const most = 100 * time.Millisecond // a tenth is usual: slow machines and the race detector need slack
		if took := fastest(most, func() { query.Compile(row.text, query.CheckOptions{}) }); took > most {
			t.Errorf("%s took %v", row.what, took)
		}
		switch {
		case row.code == "" && d == nil:
			t.Errorf("%s: %v", row.what, diagnostics.Err())
		case row.code != "" && (d != nil || !has(diagnostics, row.code)):
			t.Errorf("%s: want %s, got %v", row.what, row.code, diagnostics)
		case len(diagnostics) > 20:
			t.Errorf("%s: %d diagnostics", row.what, len(diagnostics))
		}
	}
}

// fastest is the shortest of many runs, or the first that is short enough, so that a
// machine busy with other things does not count.
func fastest(enough time.Duration, run func()) time.Duration {
	best := time.Hour
	for range 50 {
		start := time.Now()
		run()
		if best = min(best, time.Since(start)); best <= enough {
			break
		}
	}
	return best
}

func has(ds query.Diagnostics, code string) bool {
	for _, d := range ds {
		if d.Code == code {
			return true
		}
	}
	return false
}

func TestSeveralFaultsAtOnce(t *testing.T) {
	text := "event('A').wihtin(7 days).count() > 0\n AND trait('a..b') = 1\n AND (event('Ü').within(3 months).count() 5)\n OR ANY trait('x') = 1"
	_, diagnostics := query.Compile(text, query.CheckOptions{})
	type found struct {
		code         string
		line, column int
	}
	var got []found
	for _, d := range diagnostics {
		got = append(got, found{d.Code, d.Line, d.Column})
	}
	want := []found{
		{query.CodeUnknownFunction, 1, 12}, {query.CodeBadPath, 2, 12}, {query.CodeUnexpectedToken, 3, 43}, {query.CodeScopeAnyAll, 4, 5},
	}
	if len(got) != len(want) {
		t.Fatalf("found %v, want %v\n%s", got, want, diagnostics.Render())
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("found %v, want %v", got[i], want[i])
		}
	}
	const second = "2:12: error[bad_path]: 'a..b': a step of the path is empty\n     AND trait('a..b') = 1\n               ^\n    hint: a dot that belongs to a name is written \\.\n"
	if !strings.Contains(diagnostics.Render(), second) {
		t.Errorf("rendered as\n%s", diagnostics.Render())
	}
	if err := diagnostics.Err(); err == nil || strings.Count(err.Error(), "\n") != len(want)-1 {
		t.Errorf("the error is %v", err)
	}
}

func TestCaretStandsUnderLongLines(t *testing.T) {
	text := comparisons(20) + " AND\ttrait('ü') = = 1 AND " + comparisons(20)
	_, diagnostics := query.Compile(text, query.CheckOptions{})
	lines := strings.Split(diagnostics.Render(), "\n")
	if len(lines) < 3 || len([]rune(lines[1])) > 120 {
		t.Fatalf("rendered as\n%s", diagnostics.Render())
	}
	caret := len([]rune(lines[2])) - 1
	if under := string([]rune(lines[1])[caret:]); !strings.HasPrefix(under, "= 1 AND") {
		t.Errorf("the caret stands under %q\n%s", under, diagnostics.Render())
	}
}

func TestWarnings(t *testing.T) {
	opts := query.CheckOptions{
		KnownEvent: func(name string) bool { return name == "A" },
		KnownTrait: func(name string) bool { return name == "x" },
	}
	for text, code := range map[string]string{
		`event('A').count() > 0 AND trait('x') = 1`:                    "",
		`event('B').count() > 0`:                                       query.CodeUnknownEvent,
		`trait('y.z') = 1`:                                             query.CodeUnknownTrait,
		`event('A').where(trait('y') = 1).count() > 0`:                 query.CodeUnknownTrait,
		`event('A').count() < 0`:                                       query.CodeNeverTrue,
		`event('A').count() <= -1`:                                     query.CodeNeverTrue,
		`event('A').count() = 1.5`:                                     query.CodeNeverTrue,
		`event('A').count() = 'many'`:                                  query.CodeNeverTrue,
		`event('A').count().absent()`:                                  query.CodeNeverTrue,
		`event('A').unique(property('x')).count() < 0`:                 query.CodeNeverTrue,
		`event('A').count() >= 0`:                                      query.CodeAlwaysTrue,
		`event('A').count().exists()`:                                  query.CodeAlwaysTrue,
		`event('A').sum(property('x')) = 'many'`:                       query.CodeNeverTrue,
		`event('A').sum(property('x')).within_last(1 day)`:             query.CodeNeverTrue,
		`event('A').max(property('x')) > 2026-01-01`:                   query.CodeNeverTrue,
		`trait('x') > 'abc'`:                                           query.CodeNeverTrue,
		`trait('x').before_date('soon')`:                               query.CodeNeverTrue,
		`event('A').within(1 day).between(2 days, 3 days).count() > 0`: query.CodeNeverTrue,
		`event('A').count() = 0`:                                       "",
		`event('A').count() <= 0`:                                      "",
		`event('A').sum(property('x')) < 0`:                            "",
		`event('A').max(property('x') as string) = 'many'`:             "",
		`event('A').last(property('x')).within_last(1 day)`:            "",
		`trait('x') > '10'`:                                            "",
		`trait('x') > '2026-01-01'`:                                    "",
	} {
		d, diagnostics := query.Compile(text, opts)
		if d == nil || diagnostics.Err() != nil {
			t.Errorf("%s is refused: %v", text, diagnostics)
			continue
		}
		switch {
		case code == "" && len(diagnostics) > 0:
			t.Errorf("%s is doubted: %v", text, diagnostics)
		case code != "" && (len(diagnostics) != 1 || diagnostics[0].Code != code || diagnostics[0].Severity != query.Warning):
			t.Errorf("%s: want the warning %s, got %v", text, code, diagnostics)
		}
	}
}

func TestCycles(t *testing.T) {
	reads := map[string][]string{"aa": {"bb", "plain"}, "bb": {"cc"}, "loop": {"loop2"}, "loop2": {"loop"}}
	for _, row := range []struct{ key, text, message string }{
		{"cc", `trait('aa') = 'true'`, "reading 'aa' would create a cycle: cc -> aa -> bb -> cc"},
		{"dd", `trait('x') = 1 AND trait('dd') = 'true'`, "reading 'dd' would create a cycle: dd -> dd"},
		{"dd", `event('A').where(trait('dd.x') = 'true').count() > 0`, "reading 'dd' would create a cycle: dd -> dd"},
		{"ee", `trait('aa') = 'true'`, ""},
		{"ee", `trait('loop') = 'true'`, ""},
	} {
		_, diagnostics := query.Compile(row.text, query.CheckOptions{Key: row.key, Reads: func(key string) []string { return reads[key] }})
		switch {
		case row.message == "" && len(diagnostics) > 0:
			t.Errorf("%s: %v", row.text, diagnostics)
		case row.message != "" && (len(diagnostics) != 1 || diagnostics[0].Code != query.CodeCycle || diagnostics[0].Message != row.message):
			t.Errorf("%s: want %q, got %v", row.text, row.message, diagnostics)
		}
	}
}
