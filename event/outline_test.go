package event

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The bodies that libraries send are taken apart in one pass.
func TestOrdinaryBodiesAreOutlined(t *testing.T) {
	for _, text := range []string{
		orderCompleted,
		`{"type":"identify","userId":"u","traits":{"name":"Zoë 😀","escaped":"\u00e9\n\"\\","n":[1,-2.5,0,null,true,false,{}],"o":{"a":{}}}}`,
		"{ \"type\" : \"page\",\n\t\"userId\":\"u\" , \"properties\" : { } , \"x\":[ ] }",
		`{}`,
	} {
		o := newOutliner([]byte(text))
		if _, ok := o.message(); !ok {
			t.Errorf("not outlined: %s", text)
		}
		o.release()
		for _, body := range []string{
			`{"batch":[` + text + `,` + text + `],"writeKey":"k","sentAt":"2026-03-01T12:00:00Z","context":{"app":{"name":"shop"}}}`,
			`{ "sentAt":null, "batch" : [ ` + text + ` ] }`,
			`{"batch":[]}`,
		} {
			o := newOutliner([]byte(body))
			if _, ok := o.batch(); !ok {
				t.Errorf("not outlined: %s", body)
			}
			o.release()
		}
	}
}

// What is wrong or odd is left to those who can say what it is.
func TestOddBodiesAreNotOutlined(t *testing.T) {
	for _, text := range []string{
		``, ` `, `[]`, `1`, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a":1}x`, `{"a":1}}`, `{a:1}`, `{"a":1,"a":2}`, `{"o":{"a":1,"b":2,"a":3}}`,
		`{"\u0061":1,"a":2}`, `{"a":"\u0000"}`, `{"a":"\ud83d"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\`, `{"a":"`, `{"a":"b`,
		"{\"a\":\"\x01\"}", "{\"a\":\"\xff\"}", "{\"\xc3\":1}", "{\"a\":\"\xed\xa0\x80\"}", "{\u00a0\"a\":1}", "{\"a\":\v1}",
		`{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":1e5}`, `{"a":1E400}`, `{"a":` + strings.Repeat("1", 401) + `}`, `{"a":nul}`, `{"a":truex}`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[}`,
		`{"a":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
		`{"a":` + strings.Repeat(`{"a":`, MaxDepth) + "1" + strings.Repeat("}", MaxDepth) + `}`,
		`{` + wide("k", maxSiblings+1) + `}`,
	} {
		o := newOutliner([]byte(text))
		if _, ok := o.message(); ok {
			t.Errorf("outlined: %.100s", text)
		}
		o.release()
		o = newOutliner([]byte(`{"batch":[` + text + `]}`))
		if _, ok := o.batch(); ok && text != `` && text != ` ` {
			t.Errorf("outlined in a batch: %.100s", text)
		}
		o.release()
	}
	for _, body := range []string{
		`{"batch":{}}`, `{"batch":[{}],"batch":[]}`, `{"batch":[{}]`, `{"batch":[{}]}]`, `{"a":1}`, `{"batch":[{}],"a":1,"a":1}`, `{"batch":[{},]}`, `{"batch":[1]}`, `{"batch":[{}] "a":1}`,
		`{"batch":[` + strings.Repeat("{},", MaxBatchEvents) + `{}]}`,
	} {
		o := newOutliner([]byte(body))
		if _, ok := o.batch(); ok {
			t.Errorf("outlined: %.100s", body)
		}
		o.release()
	}
}

// Whatever an outliner accepts is valid, and it takes it apart as the slow way does.
func FuzzOutline(f *testing.F) {
	f.Add([]byte(orderCompleted))
	f.Add([]byte(`{"batch":[` + orderCompleted + `, {"a":"\u00e9","b":[1.5,{"c":null}]} ],"sentAt":"x","context":{"a" : 1}}`))
	f.Add([]byte(`{"a":{"b":{"c":-0.0},"d":[]},"traits":{"x":1,"y":"é"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = trimSpace(raw)
		if len(raw) > DefaultMaxBatchBytes {
			return
		}
		o := newOutliner(raw)
		defer o.release()
		if l, ok := o.message(); ok {
			sameMessage(t, raw, o, l)
		}
		b := newOutliner(raw)
		defer b.release()
		frame, ok := b.batch()
		if !ok {
			return
		}
		slow := split(raw)
		spaced, rej := check(slow.frame)
		if rej != nil || !slow.found || len(slow.messages) != len(b.messages) || spaced != frame.spaced {
			t.Fatalf("outlined, but: %v, %d messages instead of %d, spaced %v", rej, len(b.messages), len(slow.messages), frame.spaced)
		}
		if diff := cmp.Diff(readFields(slow.frame), b.fields(frame), cmp.AllowUnexported(fields{})); diff != "" {
			t.Errorf("the frame (-slow +quick):\n%s", diff)
		}
		for i, l := range b.messages {
			if !bytes.Equal(raw[l.start:l.end], slow.messages[i]) {
				t.Errorf("message %d is %q, not %q", i, raw[l.start:l.end], slow.messages[i])
			}
			sameMessage(t, slow.messages[i], b, l)
		}
	})
}

func sameMessage(t *testing.T, raw []byte, o *outliner, l outline) {
	t.Helper()
	spaced, rej := check(raw)
	if rej != nil || raw[0] != '{' || spaced != l.spaced {
		t.Fatalf("outlined, but: %v, spaced %v", rej, spaced)
	}
	if diff := cmp.Diff(readFields(raw), o.fields(l), cmp.AllowUnexported(fields{})); diff != "" {
		t.Errorf("the message (-slow +quick):\n%s", diff)
	}
}
