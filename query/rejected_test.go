package query_test

import (
	"strings"
	"testing"

	"muster/query"
)

func TestRejected(t *testing.T) {
	users, accounts := query.Users, query.Accounts
	for _, row := range []struct {
		text    string
		purpose query.Purpose
		level   query.Level
		code    string
		at      string // what stands at the error's place
		hint    string // part of the hint
	}{
		{`event('A').count()`, query.Audience, users, "not_boolean", "event", ">= 1"},
		{`property('x') > 1`, query.Audience, users, "scope_property", "property", "trait("},
		{`event('A').within(parent: 2 days).count() > 0`, query.Audience, users, "scope_parent", "parent", "within(7 days)"},
		{`entity('orders').count() > 0`, query.Audience, users, "entity_unsupported", "entity", ""},
		{`ANY event('A').count() > 0`, query.Audience, users, "scope_any_all", "ANY", "remove"},
		{`event('A').expires_after(1 hour).count() > 0`, query.Audience, users, "session_in_audience", "expires_after", "computed trait"},
		{`event('A').count() >= 1 trait('x') = 1`, query.Audience, users, "unexpected_token", "trait", "AND or OR"},
		{`literal(5) = 5`, query.Audience, users, "literal_on_left", "literal", "turn it round"},
		{`event('A').unique(property('x')) = 'a'`, query.Audience, users, "bad_chain", "= 'a'", ".count()"},
		{`event('A').where(property('x')).count() > 0`, query.Audience, users, "not_boolean", "property", "exists"},
		{`event('A').count() >= 1`, query.Trait, users, "not_scalar", "event", "audience"},
		{`event('A').within(0 days).count() > 0`, query.Audience, users, "bad_duration", "0 days", ""},
		{`event('A').within(3 months).count() > 0`, query.Audience, users, "bad_duration", "months", "90 days"},
		{`event('A').median(property('x')) > 1`, query.Audience, users, "unknown_function", "median", ""},
		{`event('A').where(property('x') > 1)`, query.Audience, users, "not_boolean", "event", ".count() >= 1"},
		{`event('A').sum(property('x') as string) > 1`, query.Audience, users, "bad_type_cast", "string", "remove"},
		{`trait('a..b') = 1`, query.Audience, users, "bad_path", "'a..b'", `\.`},
		{`event('Report Built').count() >= 1`, query.Audience, accounts, "account_event_needs_quantifier", "event", "ANY or ALL"},

		{``, query.Audience, users, "unexpected_token", "", ""},
		{`trait('.a') = 1`, query.Audience, users, "bad_path", "'.a'", ""},
		{`trait('$.a') = 1`, query.Audience, users, "bad_path", "'$.a'", ""},
		{`event('A')`, query.Trait, users, "not_scalar", "event", ".count()"},
		{`event('A').unique(property('x'))`, query.Audience, users, "not_boolean", "event", ".count()"},
		{`'a'`, query.Trait, users, "literal_on_left", "'a'", ""},
		{`5 < trait('x')`, query.Audience, users, "literal_on_left", "5", "turn it round"},
		{`trait('x') > 1 > 0`, query.Audience, users, "unexpected_token", "> 0", "AND"},
		{`trait('x') = 1 AND`, query.Audience, users, "unexpected_token", "", ""},
		{`(trait('x') = 1`, query.Audience, users, "unexpected_token", "", "closing bracket"},
		{`trait('x') = 1)`, query.Audience, users, "unexpected_token", ")", "remove"},
		{`trait(x) = 1`, query.Audience, users, "unexpected_token", "x) =", "quotes"},
		{`trait('x') = null`, query.Audience, users, "unexpected_token", "null", "absent"},
		{`trait('x') = 2 && trait('y') = 1`, query.Audience, users, "lex_error", "&&", "AND"},
		{`trait(‘x’) = 1`, query.Audience, users, "lex_error", "‘x’", "straight"},
		{`trait('x) = 1`, query.Audience, users, "lex_error", "'x) = 1", "closing"},
		{`trait('x') = 2026-02-30`, query.Audience, users, "lex_error", "2026-02-30", "2026-01-31"},
		{`trait('x') = 1e999999999`, query.Audience, users, "lex_error", "1e9", ""},
		{"trait('x') = '\x80'", query.Audience, users, "lex_error", "'\x80", "UTF-8"},
		{`trait('x') = 1 # comment`, query.Audience, users, "lex_error", "#", "comments"},
		{`trait('x') = trait`, query.Audience, users, "unexpected_token", "trait", ""},
		{`event('A').wihtin(7 days).count() > 0`, query.Audience, users, "unknown_function", "wihtin", "`within`"},
		{`event('A').average(property('x')) > 0`, query.Audience, users, "unknown_function", "average", "`avg`"},
		{`events('A').count() > 0`, query.Audience, users, "unknown_function", "events", "`event`"},
		{`trait('x').greaterThan(5)`, query.Audience, users, "unknown_function", "greaterThan", "`greater_than`"},
		{`count() > 0`, query.Audience, users, "bad_chain", "count", "event("},
		{`trait('x').count() > 0`, query.Audience, users, "bad_chain", "count", ""},
		{`trait('x').where(trait('y') = 1) = 1`, query.Audience, users, "bad_chain", "where", "before the reducer"},
		{`event('A').count().within(7 days) > 1`, query.Audience, users, "bad_chain", "within", "before the reducer"},
		{`event('A') > 1`, query.Audience, users, "bad_chain", "> 1", ".count()"},
		{`event('A').exists()`, query.Audience, users, "bad_chain", "exists", ".count()"},
		{`(trait('x') = 1) = 1`, query.Audience, users, "bad_chain", "= 1", "AND or OR"},
		{`trait('x').equals(1).equals(2)`, query.Audience, users, "bad_chain", "equals(2)", "AND or OR"},
		{`trait('x') = (trait('y') = 1)`, query.Audience, users, "bad_argument", "trait('y')", "AND"},
		{`trait('x') = event('A')`, query.Audience, users, "bad_argument", "event", ".count()"},
		{`trait('x').one_of()`, query.Audience, users, "bad_argument", "one_of", ""},
		{`trait('x').equals(1, 2)`, query.Audience, users, "bad_argument", "equals", ""},
		{`trait('x').exists('y')`, query.Audience, users, "bad_argument", "'y'", "remove"},
		{`trait('x') = property('y')`, query.Audience, users, "scope_property", "property", ""},
		{`event('A').where(property(parent: 'x') = 1).count() > 0`, query.Audience, users, "scope_parent", "property", "parent:"},
		{`event('A').sum(property(parent: 'x')) > 0`, query.Audience, users, "scope_parent", "parent", ""},
		{`event('A').sum('price') > 0`, query.Audience, users, "bad_argument", "'price'", "property("},
		{`event(A).count() > 0`, query.Audience, users, "unexpected_token", "A)", "quotes"},
		{`event('').count() > 0`, query.Audience, users, "bad_argument", "''", ""},
		{`event('A').within(7).count() > 0`, query.Audience, users, "bad_duration", "7)", "7 days"},
		{`event('A').within('7 days').count() > 0`, query.Audience, users, "bad_duration", "'7 days'", "without quotes"},
		{`event('A').within(-7 days).count() > 0`, query.Audience, users, "bad_duration", "-7", "minus"},
		{`event('A').within(1.5 days).count() > 0`, query.Audience, users, "bad_duration", "1.5", "smaller unit"},
		{`event('A').within(9999 days).count() > 0`, query.Audience, users, "bad_duration", "9999", ""},
		{`event('A').within(99999999999999999999 days).count() > 0`, query.Audience, users, "bad_duration", "9999", ""},
		{`event('A').within(7 dasy).count() > 0`, query.Audience, users, "bad_duration", "dasy", "`days`"},
		{`event('A').between(7 days).count() > 0`, query.Audience, users, "bad_duration", ").count", "between(7 days, 10 days)"},
		{`event('A').between(0 days, 0 days).count() > 0`, query.Audience, users, "bad_duration", "0 days", ""},
		{`event('A').expires_after(10 minutes).count()`, query.Trait, users, "bad_duration", "10 minutes", ""},
		{`event('A').expires_after(91 days).count()`, query.Trait, users, "bad_duration", "91 days", ""},
		{`trait('x').within_last(7)`, query.Audience, users, "bad_duration", "7)", "7 days"},
		{`event('A').mode(property('x'), 0)`, query.Trait, users, "mode_minimum", "0)", ""},
		{`event('A').min(property('x') as array)`, query.Trait, users, "bad_type_cast", "array", ""},
		{`event('A').mode(property('x') as date)`, query.Trait, users, "bad_type_cast", "date", ""},
		{`ANY ANY trait('x') = 1`, query.Audience, accounts, "scope_any_all", "ANY trait", ""},
		{`ANY event('A').where(ALL property('x') = 1).count() > 0`, query.Audience, accounts, "scope_any_all", "ALL", ""},
		{`ANY trait('x') = 1`, query.Trait, accounts, "not_scalar", "ANY", ""},
		{
			`event('A').where(event('B').where(event('C').where(event('D').count() > 0).count() > 0).count() > 0).count() > 0`,
			query.Audience, users, "event_nesting", "event('D')", "",
		},
		{`event('A').where(event('B').within(parent: 1 day)).count() > 0`, query.Audience, users, "not_boolean", "event('B')", ".count()"},
	} {
		d, diagnostics := query.Compile(row.text, query.CheckOptions{Purpose: row.purpose, Level: row.level})
		if d != nil || diagnostics.Err() == nil {
			t.Errorf("%s is accepted as %s", row.text, row.purpose)
			continue
		}
		first := diagnostics[0]
		if first.Code != row.code {
			t.Errorf("%s\nhas code %s, want %s", diagnostics.Render(), first.Code, row.code)
		}
		if !strings.HasPrefix(row.text[first.Offset:], row.at) || row.at == "" && first.Offset != len(row.text) {
			t.Errorf("%s\nis at %q, want %q", diagnostics.Render(), row.text[first.Offset:], row.at)
		}
		if !strings.Contains(first.Hint, row.hint) {
			t.Errorf("%s\ndoes not hint at %q", diagnostics.Render(), row.hint)
		}
		if len(diagnostics) > 1 {
			t.Logf("also says\n%s", diagnostics.Render())
		}
	}
}
