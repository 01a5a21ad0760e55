package app

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func TestWithoutKeys(t *testing.T) {
	for raw, want := range map[string]string{
		`{}`:                     `{}`,
		`{"a":1}`:                `{"a":1}`,
		`{"writeKey":"s"}`:       `{}`,
		`{"writeKey":"s","a":1}`: `{"a":1}`,
		`{"a":1,"writeKey":"s"}`: `{"a":1}`,
		`{ "writeKey" : "s" , "a": 1, "b" : [ ]}`:                  `{"a": 1, "b" : [ ]}`,
		`{"writeKey":"s","writeKey":{"x":[1]},"a":1,"writeKey":2}`: `{"a":1}`,
		`{"a":{"b":[{"writeKey":"s"},{"c":0,"writeKey":"s"}]}}`:    `{"a":{"b":[{},{"c":0}]}}`,
		`{"a":"writeKey","b":["writeKey","x"]}`:                    `{"a":"writeKey","b":["writeKey","x"]}`,
		`{"writeKe\u0079":"s","a":"\u0079"}`:                       `{"a":"\u0079"}`,
		`"writeKey"`:                                               `"writeKey"`,
		`{"a":1`:                                                   ``,
		`{"a":1} x`:                                                ``,
		`writeKey=s`:                                               ``,
		``:                                                         ``,
	} {
		if got := string(withoutKeys([]byte(raw))); got != want {
			t.Errorf("%s becomes %s, want %s", raw, got, want)
		}
	}
}

// Whatever a client sends, what is shown is text that PostgreSQL takes, of bounded size,
// and a key is in it at no depth.
func FuzzShownMessagesHoldNoKeys(f *testing.F) {
	f.Add([]byte(`{"writeKey":"s","a":{"writeKey":["s"]},"b":"` + strings.Repeat("ü", 30) + `"}`))
	f.Add([]byte(`[{"a":[[]],"writeKey":{}},{"writeKe\u0079":1,"x":null},"writeKey"]`))
	f.Add([]byte("{\"\xff\":\"\\u0000\",\"writeKey\":1}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		shown := beginningOfRaw(raw)
		// An invalid byte becomes a character of three.
		if len(shown) > 3*maxShown || !utf8.ValidString(shown) || strings.ContainsRune(shown, 0) {
			t.Fatalf("%q is shown as %q", raw, shown)
		}
		kept := withoutKeys(raw)
		lenient := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
		var before, after any
		if len(raw) > maxShown || json.Unmarshal(raw, &before, lenient[0], lenient[1]) != nil {
			return
		}
		if err := json.Unmarshal(kept, &after, lenient[0], lenient[1]); err != nil {
			t.Fatalf("%q becomes %q: %v", raw, kept, err)
		}
		dec := jsontext.NewDecoder(bytes.NewReader(kept), lenient...)
		for {
			within, length := dec.StackIndex(dec.StackDepth())
			token, err := dec.ReadToken()
			if err != nil {
				break
			}
			if within == '{' && length%2 == 0 && token.Kind() == '"' && token.String() == "writeKey" {
				t.Fatalf("%q becomes %q", raw, kept)
			}
		}
	})
}
