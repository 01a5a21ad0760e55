package query_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"muster/query"
)

func parse(t testing.TB, raw string) query.Value {
	t.Helper()
	v, err := query.ParseValue([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCanonicalJSON(t *testing.T) {
	for raw, want := range map[string]string{
		`null`: `null`, ` true `: `true`, `false`: `false`, `"a\u0062\n\/"`: `"ab\n/"`, `""`: `""`,
		`100.50`: `100.5`, `60.0`: `60`, `6e1`: `60`, `-0`: `0`, `-0.0e5`: `0`, `0.1e-1`: `0.01`, `-1.50`: `-1.5`, `1E3`: `1000`,
		`1e20`: `100000000000000000000`, `1e21`: `1e+21`, `123e25`: `1.23e+27`, `1e-6`: `0.000001`, `1.5e-7`: `1.5e-7`,
		`9223372036854775807`: `9223372036854775807`, `9223372036854775808.25`: `9223372036854775808.25`,
		`-12345678901234567890123`:                  `-1.2345678901234567890123e+22`,
		`[1, 2.0,[ ],{}]`:                           `[1,2,[],{}]`,
		`{"b":1,"a":{"d":null,"c":[true]},"é":"ü"}`: `{"a":{"c":[true],"d":null},"b":1,"é":"ü"}`,
		`1e400`: `"1e400"`, `1e999999999`: `"1e999999999"`, `"<&>\u2028"`: "\"<&>\u2028\"",
	} {
		v := parse(t, raw)
		got := v.String()
		if got != want {
			t.Errorf("%s is printed as %s, want %s", raw, got, want)
		}
		if again := parse(t, got); !again.Equal(v) || again.String() != got {
			t.Errorf("%s is not read back", got)
		}
	}
	for _, raw := range []string{``, `{`, `[1,]`, `{"a":1,"a":2}`, `01`, `nul`, "\"\x80\"", `1 2`} {
		if v, err := query.ParseValue([]byte(raw)); err == nil {
			t.Errorf("%q is read as %v", raw, v)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want bool
	}{
		{`60`, `60.00`, true},
		{`60`, `"60"`, false},
		{`1e2`, `100`, true},
		{`0.1`, `0.10000000000000000001`, false},
		{`{"a":1,"b":2}`, `{"b":2.0,"a":1}`, true},
		{`{"a":1}`, `{"a":1,"b":null}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`[]`, `null`, false},
		{`true`, `"true"`, false},
		{`12345678901234567890`, `12345678901234567890.0`, true},
	} {
		if got := parse(t, row.a).Equal(parse(t, row.b)); got != row.want {
			t.Errorf("%s equals %s: %v", row.a, row.b, got)
		}
	}
}

func TestText(t *testing.T) {
	for raw, want := range map[string]string{
		`null`: "", `true`: "true", `"a b"`: "a b", `2.50`: "2.5", `[1, "x"]`: `[1,"x"]`, `{"b":1,"a":2}`: `{"a":2,"b":1}`,
	} {
		if got := parse(t, raw).AsText(); got != want {
			t.Errorf("the text of %s is %s, want %s", raw, got, want)
		}
	}
}

func TestDecimalOfStrings(t *testing.T) {
	for text, want := range map[string]string{
		"15.5": "15.5", "02134": "2134", "-3": "-3", "1e2": "100", "0.10": "0.1",
		"": "none", " 1": "none", "1 ": "none", "+1": "none", ".5": "none", "5.": "none", "0x10": "none", "Infinity": "none",
		"NaN": "none", "1e": "none", "-": "none", "1,000": "none", "1e999999999": "none", "1e-999999999": "none",
	} {
		got := "none"
		if d, ok := query.Text(text).Decimal(); ok {
			got = d.String()
		}
		if got != want {
			t.Errorf("%q is the number %s, want %s", text, got, want)
		}
	}
	if _, ok := query.Text(strings.Repeat("9", 5000)).Decimal(); ok {
		t.Error("5000 digits are a number")
	}
	if _, ok := query.Bool(true).Decimal(); ok {
		t.Error("true is a number")
	}
}

func TestSumsAreExact(t *testing.T) {
	p := query.Profile{Events: []*query.Event{
		{Name: "A", Time: now, Properties: []byte(`{"n":0.1}`)},
		{Name: "A", Time: now, Properties: []byte(`{"n":"0.2"}`)},
		{Name: "A", Time: now, Properties: []byte(`{"n":true}`)},
		{Name: "A", Time: now, Properties: []byte(`{"n":"many"}`)},
		{Name: "A", Time: now},
	}}
	for text, want := range map[string]string{
		`event('A').sum(property('n'))`: "0.3",
		`event('A').avg(property('n'))`: "0.15",
		`event('A').count()`:            "5",
	} {
		if got := compile(t, text, query.CheckOptions{Purpose: query.Trait}).Eval(p, now).String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

// Average agrees with exact fractions, rounded half away from zero.
func TestAverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coef := rapid.Int64().Draw(t, "coefficient")
		exp := rapid.Int32Range(-40, 40).Draw(t, "exponent")
		n := rapid.Int64Range(1, 1<<40).Draw(t, "n")
		sum := decimal.New(coef, exp)
		got, ok := query.Average(sum, n).Decimal()
		if !ok {
			t.Fatal("no number")
		}
		exact := new(big.Rat).Quo(sum.Rat(), new(big.Rat).SetInt64(n))
		off := new(big.Rat).Sub(exact, got.Rat())
		// At most half a unit of the fifteenth digit away.
		unit := decimal.New(1, int32(got.NumDigits())+got.Exponent()-15)
		half := new(big.Rat).Quo(unit.Rat(), big.NewRat(2, 1))
		if off.Abs(off).Cmp(half) > 0 {
			t.Fatalf("%s / %d is %s, off by %s", sum, n, got, off.FloatString(40))
		}
		if digits := strings.Trim(strings.ReplaceAll(got.Coefficient().String(), "-", ""), "0"); len(digits) > 15 {
			t.Fatalf("%s has %d digits", got, len(digits))
		}
	})
	for _, row := range []struct {
		sum  string
		n    int64
		want string
	}{
		{"2", 3, "0.666666666666667"},
		{"-2", 3, "-0.666666666666667"},
		{"1000000000000005", 10, "100000000000001"}, // a half, away from zero
		{"1000000000000005", -1, "null"},
		{"0", 5, "0"},
		{"80.5", 3, "26.8333333333333"},
		{"10", 4, "2.5"},
	} {
		if got := query.Average(decimal.RequireFromString(row.sum), row.n).String(); got != row.want {
			t.Errorf("%s / %d is %s, want %s", row.sum, row.n, got, row.want)
		}
	}
}

// Comparing never depends on how a number is written.
func TestNumbersCompareAsFractions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) decimal.Decimal {
			return decimal.New(rapid.Int64().Draw(t, name), rapid.Int32Range(-30, 30).Draw(t, name+" exponent"))
		}
		a, b := draw("a"), draw("b")
		if rapid.Bool().Draw(t, "close") {
			b = a.Add(decimal.New(rapid.Int64Range(-1, 1).Draw(t, "step"), a.Exponent()))
		}
		text := `trait('a') < trait('b')`
		d, _ := query.Compile(text, query.CheckOptions{})
		p := query.Profile{Traits: map[string]query.Value{"a": query.Number(a), "b": query.Text(b.String())}}
		if got, want := d.Eval(p, now).AsBool(), a.LessThan(b); got != want {
			t.Fatalf("%s < %s is %v", a, b, got)
		}
		if !query.Number(a).Equal(parseNumber(t, query.Number(a).String())) {
			t.Fatalf("%s is printed as %s", a, query.Number(a))
		}
		if got, want := query.Number(a).Equal(query.Number(b)), a.Equal(b); got != want {
			t.Fatalf("%s equals %s: %v", a, b, got)
		}
	})
}

func parseNumber(t *rapid.T, raw string) query.Value {
	v, err := query.ParseValue([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ParseValue reads what encoding/json reads.
func FuzzParseValue(f *testing.F) {
	for _, seed := range []string{`null`, `{"a":[1,2.5e3,"x\n",{"b":null}],"c":true}`, `[[[[]]]]`, `"\ud83d\ude00"`, `-0.0`, `1e400`, "{\"a\": \t1}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := query.ParseValue(raw)
		if err != nil {
			return
		}
		canonical := v.AppendJSON(nil)
		if !json.Valid(canonical) {
			t.Fatalf("%q is printed as %q", raw, canonical)
		}
		again, err := query.ParseValue(canonical)
		if err != nil || !again.Equal(v) || again.String() != string(canonical) {
			t.Fatalf("%q is printed as %q, read as %v, %v", raw, canonical, again, err)
		}
	})
}
