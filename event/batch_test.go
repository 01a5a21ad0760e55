package event

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

const good = `{"type":"page","userId":"u"}`

func TestBatchKeepsNeighbours(t *testing.T) {
	for name, bad := range map[string]struct {
		text string
		code Code
	}{
		"type":           {`{"type":"charge"}`, CodeInvalidType},
		"no id":          {`{"type":"page"}`, CodeNoUserAnonID},
		"no object":      {`17`, CodeInvalidMessage},
		"null":           {`null`, CodeInvalidMessage},
		"bad UTF-8":      {"{\"type\":\"\xc3\"}", CodeInvalidUTF8},
		"half surrogate": {`{"a":"\udc00"}`, CodeInvalidUTF8},
		"duplicate key":  {`{"type":"page","type":"page"}`, CodeDuplicateKey},
		"NUL":            {`{"type":"page","userId":"\u0000"}`, CodeInvalidCharacter},
		"deep":           {`{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, CodeMessageTooLarge},
		"deep and small": {`{"a":` + strings.Repeat("[", 12_000) + strings.Repeat("]", 12_000) + `}`, CodeTooDeep},
		"huge number":    {`{"a":1e999999}`, CodeNumberOutOfRange},
		"large":          {`{"a":"` + strings.Repeat("x", 40_000) + `"}`, CodeMessageTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := DecodeBatch([]byte(`{"batch":[`+good+` , `+bad.text+`,`+good+`],"writeKey":"k"}`), envelope())
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Calls) != 2 || b.WriteKey != "k" {
				t.Errorf("%d calls, key %q", len(b.Calls), b.WriteKey)
			}
			if len(b.Refused) != 1 || b.Refused[0].Index != 1 || b.Refused[0].Code != bad.code || string(b.Refused[0].Raw) != bad.text {
				t.Errorf("refused %+v, want code %s", b.Refused, bad.code)
			}
		})
	}
}

func TestBatchRefusedWhole(t *testing.T) {
	many := `{"writeKey":"k","batch":[` + strings.Repeat(good+",", MaxBatchEvents) + good + `]}`
	for name, tt := range map[string]struct {
		text string
		code Code
	}{
		"empty":               {"", CodeInvalidJSON},
		"text":                {"hello", CodeInvalidJSON},
		"list":                {"[" + good + "]", CodeInvalidBatch},
		"no batch":            {`{"a":[]}`, CodeInvalidBatch},
		"batch is null":       {`{"batch":null}`, CodeInvalidBatch},
		"batch is an object":  {`{"batch":{}}`, CodeInvalidBatch},
		"two batches":         {`{"batch":[],"batch":[]}`, CodeDuplicateKey},
		"cut in a message":    {`{"batch":[` + good + `,{"type":"pa`, CodeInvalidJSON},
		"cut after a message": {`{"batch":[` + good + `]`, CodeInvalidJSON},
		"bad message":         {`{"batch":[` + good + `,{"type":page}]}`, CodeInvalidJSON},
		"missing comma":       {`{"batch":[` + good + good + `]}`, CodeInvalidJSON},
		"trailing comma":      {`{"batch":[` + good + `,]}`, CodeInvalidJSON},
		"leading comma":       {`{"batch":[,` + good + `]}`, CodeInvalidJSON},
		"brackets crossed":    {`{"batch":[{"a":[}],"b":]}`, CodeInvalidJSON},
		"text behind":         {`{"batch":[` + good + `]} x`, CodeInvalidJSON},
		"NUL in the context":  {`{"batch":[],"context":{"a":"\u0000"}}`, CodeInvalidCharacter},
		"context is a list":   {`{"batch":[],"context":[1]}`, CodeInvalidField},
		"only an opening":     {strings.Repeat("[", 100_000), CodeTooDeep},
		"too many":            {many, CodeTooManyEvents},
		"too large":           {`{"batch":["` + strings.Repeat("x", DefaultMaxBatchBytes) + `"]}`, CodeBatchTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := DecodeBatch([]byte(tt.text), envelope())
			var rej *Rejection
			if !errors.As(err, &rej) || rej.Code != tt.code || b.Calls != nil {
				t.Fatalf("got %v with %d calls, want code %s", err, len(b.Calls), tt.code)
			}
		})
	}
	if b, _ := DecodeBatch([]byte(many), envelope()); b.WriteKey != "k" {
		t.Errorf("key %q of a batch with too many messages", b.WriteKey)
	}
}

func TestBatchAtTheLimits(t *testing.T) {
	most := `{"batch":[` + strings.Repeat(good+",", MaxBatchEvents-1) + good + `]}`
	b, err := DecodeBatch([]byte(most), envelope())
	if err != nil || len(b.Calls) != MaxBatchEvents {
		t.Errorf("%d calls, %v", len(b.Calls), err)
	}
	frame := `{"batch":[` + good + `],"pad":""}`
	large := strings.Replace(frame, `""`, `"`+strings.Repeat("x", DefaultMaxBatchBytes-len(frame))+`"`, 1)
	if _, err := DecodeBatch([]byte(large), envelope()); err != nil || len(large) != DefaultMaxBatchBytes {
		t.Errorf("%d bytes: %v", len(large), err)
	}
	if b, err := DecodeBatch([]byte(` {"batch": [ ] } `), envelope()); err != nil || len(b.Calls)+len(b.Refused) != 0 {
		t.Errorf("empty batch: %+v, %v", b, err)
	}
}

func TestBatchInheritance(t *testing.T) {
	body := `{
	  "batch": [
	    {"type":"page","userId":"u1"},
	    {"type":"page","userId":"u2","context":{"library":{"name":"own"}, "a":1},"integrations":{"All":true},"sentAt":"2026-03-01T12:00:00Z"},
	    {"type":"page","userId":"u3","context":{},"integrations":null,"timestamp":"2026-03-01T11:59:00Z"}
	  ],
	  "context": {"library": {"name": "analytics-go", "version": "3.0.0"}, "app": {}},
	  "integrations": {"All": false, "X": true},
	  "sentAt": "2026-03-01T11:59:30Z"
	}`
	b, err := DecodeBatch([]byte(body), envelope())
	if err != nil || len(b.Calls) != 3 {
		t.Fatalf("%+v, %v", b, err)
	}
	library := `"library":{"name":"analytics-go","version":"3.0.0"}`
	for i, want := range []struct{ context, integrations, channel string }{
		{`{` + library + `,"app":{}}`, `{"All":false,"X":true}`, ChannelServer},
		{`{"library":{"name":"own"},"a":1,"app":{}}`, `{"All":true,"X":true}`, ""},
		{`{` + library + `,"app":{}}`, `{"All":false,"X":true}`, ChannelServer},
	} {
		c := b.Calls[i]
		if string(c.Context) != want.context || string(c.Integrations) != want.integrations || c.Channel != want.channel {
			t.Errorf("call %d: context %s, integrations %s, channel %q", i, c.Context, c.Integrations, c.Channel)
		}
	}
	if got := b.Calls[2].Timestamp; !got.Equal(at("2026-03-01T11:59:30.5Z")) {
		t.Errorf("timestamp by the batch's sentAt: %v", got)
	}
	if got := b.Calls[1].SentAt; !got.Equal(at("2026-03-01T12:00:00Z")) {
		t.Errorf("the message's sentAt: %v", got)
	}
}

// A large context of the batch counts for each message: otherwise half a megabyte
// could make a gigabyte of events.
func TestInheritedSizeCounts(t *testing.T) {
	body := fmt.Sprintf(`{"batch":[%s],"context":{"a":"%s"}}`, good, strings.Repeat("x", DefaultMaxBytes))
	b, err := DecodeBatch([]byte(body), envelope())
	if err != nil || len(b.Refused) != 1 || b.Refused[0].Code != CodeMessageTooLarge {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestWriteKeyPlaces(t *testing.T) {
	for body, want := range map[string]string{
		`{"writeKey":"top","batch":[{"writeKey":"first"}]}`: "top",
		`{"batch":[{"writeKey":"first"},{"writeKey":"b"}]}`: "first",
		`{"batch":[{},{"writeKey":"second"}]}`:              "",
		`{"writeKey":5,"batch":[]}`:                         "",
	} {
		if b, err := DecodeBatch([]byte(body), envelope()); err != nil || b.WriteKey != want {
			t.Errorf("%s: key %q, %v", body, b.WriteKey, err)
		}
	}
	b, err := DecodeMessage([]byte(`{"type":"page","writeKey":"k"}`), envelope())
	if err != nil || b.WriteKey != "k" || len(b.Refused) != 1 || b.Refused[0].Code != CodeNoUserAnonID {
		t.Errorf("message: %+v, %v", b, err)
	}
	if _, err := DecodeMessage([]byte(`{"type":"page"`), envelope()); err == nil {
		t.Error("half a message is taken")
	}
}

func TestRefusedTellsWhatItCan(t *testing.T) {
	b, err := DecodeBatch([]byte(`{"batch":[{"type":"track","messageId":"m\u0000","userId":"u"}]}`), envelope())
	if err != nil || len(b.Refused) != 1 {
		t.Fatal(b, err)
	}
	if r := b.Refused[0]; r.Type != "track" || r.MessageID != "m?" {
		t.Errorf("refused %q %q", r.Type, r.MessageID)
	}
}

func TestMergeComparesNamesNotBytes(t *testing.T) {
	got := merged(jsontext.Value(`{"\u0061":1}`), jsontext.Value(`{"a":2,"b\"":3}`))
	if want := `{"\u0061":1,"b\"":3}`; string(got) != want {
		t.Errorf("merged %s, want %s", got, want)
	}
}
