package query_test

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"muster/query"
)

// FuzzCompile: no text makes the compiler panic or slow; what it accepts it prints
// in a form that it accepts again, and that form is final.
func FuzzCompile(f *testing.F) {
	for _, row := range audiences {
		f.Add(row.text, false, false)
	}
	for _, row := range computed {
		f.Add(row.text, true, false)
	}
	f.Add(`ANY (trait('role') = "admin" and NOT event('A').count() >= 1) or ALL trait('x').exists()`, false, true)
	f.Add("event(‘A’).where({property('x') && 5 <> 7}).within(3 months", false, false)
	f.Fuzz(func(t *testing.T, text string, trait, accounts bool) {
		opts := query.CheckOptions{Purpose: query.Audience, Level: query.Users}
		if trait {
			opts.Purpose = query.Trait
		}
		if accounts {
			opts.Level = query.Accounts
		}
		d, diagnostics := query.Compile(text, opts)
		if (d == nil) != (diagnostics.Err() != nil) {
			t.Fatalf("%q: a definition %v with %v", text, d, diagnostics)
		}
		for _, x := range diagnostics {
			if x.Offset < 0 || x.Offset > len(text) || x.Line < 1 || x.Column < 1 || x.Code == "" || x.Message == "" {
				t.Fatalf("%q: %+v", text, x)
			}
		}
		_ = diagnostics.Render()
		if d == nil {
			return
		}
		if !utf8.ValidString(d.Text()) {
			t.Fatalf("%q is printed as %q", text, d.Text())
		}
		again, diagnostics := query.Compile(d.Text(), opts)
		if diagnostics.Err() != nil {
			t.Fatalf("%q\nis printed as\n%s", text, diagnostics.Render())
		}
		if again.Text() != d.Text() || again.Class != d.Class || len(again.Leaves) != len(d.Leaves) || again.Comparisons != d.Comparisons {
			t.Fatalf("%q\nis printed as\n%q\nthen as\n%q", text, d.Text(), again.Text())
		}
	})
}

// FuzzEval: no definition and no history make the evaluator panic, the given leaf
// values lead to the same value, and it does not change before it is said to.
func FuzzEval(f *testing.F) {
	const (
		properties = `{"price":60,"genre":"rock","sku":"B","items":[{"id":"i1","qty":2},{"id":"i2","qty":1}],"at":"2026-03-30"}`
		profile    = `{"plan":"pro","ltv":1250,"vip":true,"trial_ends":"2026-04-03","last_login":"2026-03-30T09:00:00Z","tags":["x","y"]}`
	)
	for _, row := range audiences {
		f.Add(row.text, false, []byte(properties), []byte(profile), int64(3600))
	}
	for _, row := range computed {
		f.Add(row.text, true, []byte(properties), []byte(profile), int64(90000))
	}
	f.Fuzz(func(t *testing.T, text string, trait bool, properties, profile []byte, seconds int64) {
		opts := query.CheckOptions{Purpose: query.Audience}
		if trait {
			opts.Purpose = query.Trait
		}
		d, _ := query.Compile(text, opts)
		if d == nil {
			return
		}
		var p query.Profile
		if v, err := query.ParseValue(profile); err == nil {
			p.Traits = map[string]query.Value{}
			for _, key := range v.Keys() {
				p.Traits[key] = v.Member(key)
			}
		}
		// Properties go in as they are, valid or not: nothing may come of it but missing values.
		step := time.Duration(seconds%(100*86400)) * time.Second
		for i, name := range append(d.Events, d.Events...) {
			e := &query.Event{Name: name, Time: now.Add(-step * time.Duration(i)), Arrival: int64(i)}
			if i%3 != 2 {
				e.Properties, e.Context = jsontext.Value(properties), jsontext.Value(properties)
			}
			p.Events = append(p.Events, e)
		}
		value := d.Eval(p, now)
		if got := d.EvalWith(leafValues(d, p, now), now); !got.Equal(value) {
			t.Fatalf("%s is %v, with leaf values %v", d.Text(), value, got)
		}
		_ = d.Explain(p, now).Render()
		next, ok := d.NextChange(p, now)
		for _, after := range []time.Duration{1, time.Hour, 36 * time.Hour, 40 * 24 * time.Hour} {
			if at := now.Add(after); (!ok || at.Before(next)) && !d.Eval(p, at).Equal(value) {
				t.Fatalf("%s is %v, then %v at %v, before %v (%v)", d.Text(), value, d.Eval(p, at), at, next, ok)
			}
		}
	})
}
