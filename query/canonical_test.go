package query_test

import (
	"testing"

	"muster/query"
)

// Each row is one meaning, written in several ways; the first is how it is printed.
func TestCanonicalText(t *testing.T) {
	for _, texts := range [][]string{
		{
			`event('A').count() = 4`, `event('A').count() == 4`, `event("A").count().equals(4)`, `event('A').count().eq(literal(4))`,
			`(event('A').count()) = (4)`, `( event ( 'A' ) . count ( ) = 4.0 )`, "event('A')\n\t.count()\r\n= 4e0", `event('A').count() = 40e-1`,
		},
		{`trait('x') != 'a'`, `trait('x').differs('a')`, `trait("x").neq("a")`},
		{`trait('x') >= 2`, `trait('x').at_least(2)`, `trait('x').gte(2)`},
		{`trait('x').absent()`, `trait('x').is_null()`},
		{`trait('x').exists()`, `trait('x').is_set()`},
		{`trait('x').contains('a', 'b')`, `trait('x').contains(['a','b'])`, `trait('x').contains_one('a','b')`, `trait('x').contains(['a'],'b')`},
		{`trait('x') = 'true'`, `trait('x') = true`, `trait('x') = literal(true)`},
		{`trait('a\\.b') = 'it\'s'`, `trait('a\.b') = "it's"`, `trait('a\\\\.b') = 'it\'s'`},
		{`trait('x') = 'C:\\dir'`, `trait('x') = 'C:\dir'`},
		{`trait('x') = 2026-01-05T08:00:00Z`, `trait('x') = 2026-01-05T10:00:00+02:00`, `trait('x') = 2026-01-05T08:00`, `trait('x') = 2026-01-05T08:00:00.000Z`},
		{`trait('x').before_date(2026-01-05)`},
		{`trait('x') = 1 AND trait('y') = 2 AND trait('z') = 3`, `trait('x') = 1 AND (trait('y') = 2 AND trait('z') = 3)`, `(trait('x') = 1 and trait('y') = 2) AND trait('z') = 3`},
		{`trait('x') = 1 OR trait('y') = 2 AND trait('z') = 3`, `trait('x') = 1 OR (trait('y') = 2 AND trait('z') = 3)`},
		{`(trait('x') = 1 OR trait('y') = 2) AND trait('z') = 3`, `((trait('x') = 1) or (trait('y') = 2)) AND trait('z') = 3`},
		{`NOT trait('x') = 1`, `NOT (trait('x') = 1)`, `not ((trait('x') = 1))`},
		{`NOT (trait('x') = 1 AND trait('y') = 2)`},
		{
			`event('A').where(property('p') = 1 AND property('q') = 2).within(7 days).count() >= 1`,
			`event('A').within(7 days).where(property('p') = 1).where(property('q') = 2).count() >= 1`,
			`event('A').where(property('p') = 1).within(1 week).where({property('q') = 2}).count() >= 1`,
			`event('A').where(property('p') = 1 AND property('q') = 2).within(168 hours).within(30 days).count() >= 1`,
			`event('A').where((property('p') = 1 AND property('q') = 2)).between(0 days, 7 days).count() >= 1`,
		},
		{`event('A').where((property('p') = 1 OR property('q') = 2) AND property('r') = 3).count() > 0`, `event('A').where(property('p') = 1 OR property('q') = 2).where(property('r') = 3).count() > 0`},
		{`event('A').where(property('p') = 1 OR property('q') = 2).count() > 0`},
		{`event('A').between(7 days, 10 days).count() >= 1`, `event('A').between(10 days, 7 days).count() >= 1`, `event('A').within(10 days).between(7 days, 240 hours).count() >= 1`},
		{`event('A').within(90 minutes).count() >= 1`, `event('A').within(5400 seconds).count() >= 1`},
		{`event('A').within(1 day).between(2 days, 2 days).count() >= 1`, `event('A').between(2 days, 3 days).within(1 day).count() >= 1`, `event('A').within(24 hours).between(48 hours, 9 days).count() >= 1`},
		{`event('A').sources({exclude: 'a', 'b'}).count() = 0`, `event('A').sources({exclude: ['b', 'a', 'b']}).count() = 0`, `event('A').sources(exclude: 'b').sources({exclude: 'a'}).count() = 0`},
		{`trait('x').within_last(24 hours)`, `trait('x').within_last(1440 minutes)`},
		{`trait('x').within_last(7 days)`, `trait('x').within_last(1 week)`},
		{
			`event('A').where(event('B').within(parent: 1 day).count() >= 1).count() >= 1`,
			`event('A').where(event('B').between(parent: 0 hours, 24 hours).count() >= 1).count() >= 1`,
			`event('A').where(event('B').within(parent: 3 days).within(parent: 1 day).count() >= 1).count() >= 1`,
		},
		{`event('A').where(event('B').where(property('x') = property(parent: 'x')).count() > 0).count() > 0`},
	} {
		for _, text := range texts {
			d := compile(t, text, query.CheckOptions{})
			if d.Text() != texts[0] {
				t.Errorf("%s\nis printed as\n%s, want\n%s", text, d.Text(), texts[0])
			}
		}
	}
	for _, texts := range [][]string{
		{`event('A').min(property('p'))`, `event('A').min(property('p') as number)`, `(event('A').min(property("p")))`},
		{`event('A').max(property('p') as string)`},
		{`event('A').mode(property('p'), 2)`, `event('A').mode(property('p'))`, `event('A').mode(property('p') as string, 2)`},
		{`event('A').mode(context('p.$') as array, 1)`},
		{`event('A').unique(property('p'))`},
		{`event('A').expires_after(1 day).where(property('p') = 1).count()`, `event('A').expires_after(24 hours).where(property('p') = 1).count()`},
		{`event('A').where(property('p') = 1).expires_after(1 day).count()`},
	} {
		for _, text := range texts {
			d := compile(t, text, query.CheckOptions{Purpose: query.Trait})
			if d.Text() != texts[0] {
				t.Errorf("%s\nis printed as\n%s, want\n%s", text, d.Text(), texts[0])
			}
		}
	}
	d := compile(t, `NOT any (trait('x') = 1 and trait('y') = 2) or ALL NOT trait('z') = 1`, query.CheckOptions{Level: query.Accounts})
	if want := `NOT ANY (trait('x') = 1 AND trait('y') = 2) OR ALL NOT trait('z') = 1`; d.Text() != want {
		t.Errorf("printed as %s, want %s", d.Text(), want)
	}
}

func TestEqualLeavesAreOne(t *testing.T) {
	d := compile(t, `event('A').within(7 days).where(property('x') = 1).count() >= 1 AND
		event("A").where(property('x').eq(1)).within(1 week).count() < 9 AND event('A').count() > event('B').count()`, query.CheckOptions{})
	if len(d.Leaves) != 3 || d.LeafCount != 3 {
		t.Fatalf("%d leaves: %v", len(d.Leaves), d.Leaves)
	}
	other := compile(t, `event('B').count() = 0 OR event('A').where(property('x') = 1.0).within(168 hours).count() = 2`, query.CheckOptions{})
	if other.Leaves[1].Text != d.Leaves[0].Text {
		t.Errorf("%s is not %s", other.Leaves[1].Text, d.Leaves[0].Text)
	}
}
