package scenario

import (
	"testing"

	"muster/query"
)

func TestSameValue(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1", "1.0", true},
		{"100", "1e2", true},
		{"0", "-0", true},
		{"1", `"1"`, false},
		{"true", `"true"`, false},
		{"null", "false", false},
		{"null", "null", true},
		{`"a"`, `"A"`, false},
		{"0.3", "0.30000000000000004", true}, // what binary floating point makes of 0.1 + 0.2
		{"0.3", "0.300000000000001", false},
		{"1.66666666666667", "1.6666666666666667", true},
		{"123456789012345678", "123456789012345699", true},
		{"123456789012345", "123456789012346", false},
		{"-0.3", "0.3", false},
		{"0.00000000000000000003", "0.00000000000000000004", false},
		{"[1,2]", "[1.0,2]", true},
		{"[1,2]", "[2,1]", false},
		{"[1,2]", "[1,2,3]", false},
		{`{"a":1,"b":[2]}`, `{"b":[2.0],"a":1}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`{"a":1}`, `{"b":1}`, false},
		{`{"a":null}`, `{}`, false},
	} {
		a, b := parsed(t, c.a), parsed(t, c.b)
		if sameValue(a, b) != c.want || sameValue(b, a) != c.want {
			t.Errorf("%s and %s: want %v", a, b, c.want)
		}
	}
}

func parsed(t *testing.T, text string) query.Value {
	t.Helper()
	v, err := query.ParseValue([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
