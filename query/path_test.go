package query_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/query"
)

// document draws JSON text, with spaces where they may stand.
func document(t *rapid.T, depth int) string {
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space")
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if depth == 0 {
		kind = min(kind, 5)
	}
	switch kind {
	case 0, 1, 2, 3, 4, 5:
		return space + rapid.SampledFrom([]string{`null`, `true`, `1.50`, `"a"`, `"a\"]}\\"`, `"\u0061"`, `""`, `-3e2`}).Draw(t, "scalar") + space
	case 6, 7:
		items := make([]string, rapid.IntRange(0, 3).Draw(t, "items"))
		for i := range items {
			items[i] = document(t, depth-1)
		}
		return space + "[" + strings.Join(items, ",") + space + "]" + space
	}
	var members []string
	for _, key := range []string{`"a"`, `"b"`, `"\u0063"`, `"d.e"`} {
		if rapid.Bool().Draw(t, "present") {
			members = append(members, space+key+space+":"+document(t, depth-1))
		}
	}
	return space + "{" + strings.Join(members, ",") + space + "}"
}

// Walking raw text in place finds what walking the parsed value finds.
func TestPathsWalkTextAndValuesAlike(t *testing.T) {
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", `d\\.e`, "$", "$", "missing"}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		raw := `{"x":` + document(t, 4) + `}`
		whole, err := query.ParseValue([]byte(raw))
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		at := strings.Join(append([]string{"x"}, steps.Draw(t, "steps")...), ".")
		event := &query.Event{Name: "A", Time: now, Properties: []byte(raw)}
		p := query.Profile{Events: []*query.Event{event}, Traits: map[string]query.Value{"x": whole.Member("x")}}

		walked, _ := query.Compile(`event('A').first(property('`+at+`'))`, query.CheckOptions{Purpose: query.Trait})
		parsed, diagnostics := query.Compile(`trait('`+at+`')`, query.CheckOptions{Purpose: query.Trait})
		if err := diagnostics.Err(); err != nil {
			t.Fatal(err)
		}
		fromText := walked.Leaves[0].Values(event)
		var fromValue []query.Value
		if v := parsed.Eval(p, now); strings.Contains(at, "$") {
			fromValue = v.Elements()
		} else if !v.IsNull() {
			fromValue = []query.Value{v}
		}
		if a, b := query.List(fromText), query.List(fromValue); !a.Equal(b) {
			t.Fatalf("%s in %s is %v as text, %v as a value", at, raw, a, b)
		}
	})
}
