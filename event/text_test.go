package event

import (
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	for raw, want := range map[string]string{
		`"a\tb"`:                 "a\tb",
		`"\ud83d\ude00"`:         "😀",
		`7`:                      "7",
		`-0`:                     "0",
		`-0.0`:                   "0",
		`7.0`:                    "7",
		`7.50`:                   "7.5",
		`1e6`:                    "1000000",
		`1.25E1`:                 "12.5",
		`-12e-3`:                 "-0.012",
		`0e5`:                    "0",
		`9007199254740993`:       "9007199254740993",
		`1234567890123456789.00`: "1234567890123456789",
	} {
		if got, ok := Text(jsontext.Value(raw)); !ok || got != want {
			t.Errorf("Text(%s) = %q, %v; want %q", raw, got, ok, want)
		}
	}
	for _, raw := range []string{`true`, `null`, `{}`, `[1]`, ``, `1e401`, `1e-401`, `1e99999999999999999999`} {
		if got, ok := Text(jsontext.Value(raw)); ok {
			t.Errorf("Text(%s) = %q, want none", raw, got)
		}
	}
}

// Any number's text has the same value, and one value has one text.
func TestDecimalIsExact(t *testing.T) {
	plain := regexp.MustCompile(`^(0|-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?)$`)
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		n := number.Draw(t, "number")
		text, ok := decimal(n)
		if !ok || !plain.MatchString(text) {
			t.Fatalf("decimal(%s) = %q, %v", n, text, ok)
		}
		want, _ := new(big.Rat).SetString(n)
		got, _ := new(big.Rat).SetString(text)
		if want.Cmp(got) != 0 {
			t.Fatalf("decimal(%s) = %s, which is another number", n, text)
		}
	})
}

func TestNewMessageID(t *testing.T) {
	form := regexp.MustCompile(`^api-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := NewMessageID()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("message id %q", id)
		}
		seen[id] = true
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x00b\xffc\n" + strings.Repeat("é", 200)); len(got) > maxPrintable+10 || strings.ContainsAny(got, "\x00\n") || strings.IndexByte(got, 0xff) >= 0 {
		t.Errorf("printable gives %q", got)
	}
}
