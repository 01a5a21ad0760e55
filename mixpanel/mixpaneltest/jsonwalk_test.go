package mixpaneltest

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var walked = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-1.5e-3`, `""`, `"x"`, `"\u00e4\ud83d\ude00\"\\/"`, `"ä"`,
	`{"a":1}`, ` { "a" : [ 1 , { "b" : "]}" } , "\"" ] , "c" : { } } `, `[[[]],[{}],"[{",-0.0,1e400,-1e400]`,
	"{\"\\u0061\":\t1,\n\"b\":[\r\n]}", `[1,2,3]`, `{"k":"\\"}`, `{"k":"\\\\\""}`,
}

// FuzzDecode holds the walk over valid JSON to what a JSON library makes of it.
func FuzzDecode(f *testing.F) {
	for _, s := range walked {
		f.Add(s)
	}
	whole := Limits{StringBytes: math.MaxInt, NameBytes: math.MaxInt}
	f.Fuzz(func(t *testing.T, s string) {
		v := jsontext.Value(strings.TrimSpace(s))
		if !v.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			return
		}
		got := whole.decode(v)
		_ = (&Limits{}).withDefaults().decodeSafely(v)
		var want any
		if err := json.Unmarshal(v, &want, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
			return // a number beyond float64
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, want %#v", s, got, want)
		}
	})
}

// decodeSafely decodes with the default limits, which must not make anything panic.
func (l Limits) decodeSafely(v jsontext.Value) any { return l.decode(v) }

func TestCut(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"aä", 2, "a"}, {"aä", 3, "aä"}, {"ä", 1, ""}, {"", 0, ""}, {"\x80\x80", 1, ""}} {
		if got := cut(c.s, c.n); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.s, c.n, got, c.want)
		}
	}
}

func TestInternerIsBounded(t *testing.T) {
	var in interner
	for i := range internedNames + 10 {
		in.intern([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if len(in.names) != internedNames {
		t.Errorf("%d names", len(in.names))
	}
}

func TestNameSet(t *testing.T) {
	var s nameSet
	for range 2 {
		for i := range 1000 {
			if name := strings.Repeat("x", i); !s.add(name) || s.add(name) {
				t.Fatalf("name %d", i)
			}
		}
		s.reset()
	}
}
