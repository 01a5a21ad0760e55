package event

import (
	"cmp"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// Batch is a request body taken apart. Every message of it is either in Calls or in
// Refused.
type Batch struct {
	Calls   []*Call // in the order of the body
	Refused []Refused

	// WriteKey is the key in the body, at its top or else in its first message; "" if
	// there is none. It is a secret.
	WriteKey string
}

// Refused is a message of a batch that was not taken.
type Refused struct {
	Index int // place in the batch, from 0
	*Rejection
	// MessageID and Type are what the message says, cut and cleaned so that they can
	// be shown and stored; "" when they cannot be read.
	MessageID, Type string
	// Raw is the message as it came, perhaps with bytes that no database takes as text.
	Raw []byte
}

// DecodeMessage reads the body of a request that holds one message. A body that is
// no JSON object at all is a *Rejection of the whole; a message that breaks the
// rules is in the batch's Refused.
func DecodeMessage(raw []byte, env Envelope) (Batch, error) {
	b := Batch{}
	c, rej := decode(raw, &env)
	if rej != nil {
		switch rej.Code {
		case CodeInvalidJSON, CodeInvalidMessage, CodeMessageTooLarge:
			return b, rej
		default:
			b.refuse(0, raw, rej)
		}
	} else {
		b.Calls = []*Call{c}
	}
	b.WriteKey = writeKey(raw)
	return b, nil
}

// DecodeBatch reads the body of a request that holds many messages:
//
//	{"batch": [...], "writeKey": "...", "sentAt": "...", "context": {...}, "integrations": {...}}
//
// Each message is decoded for itself with what it inherits from the body, so that a
// bad one does not harm the others. The error, always a *Rejection, is for bodies of
// which nothing can be taken: not JSON, too large, without a batch, or with more than
// MaxBatchEvents messages.
func DecodeBatch(raw []byte, env Envelope) (Batch, error) {
	b, rej := decodeBatch(raw, env)
	if rej != nil {
		return Batch{WriteKey: b.WriteKey}, rej
	}
	return b, nil
}

func decodeBatch(raw []byte, env Envelope) (Batch, *Rejection) {
	var b Batch
	raw = trimSpace(raw)
	if limit := cmp.Or(env.MaxBatchBytes, DefaultMaxBatchBytes); len(raw) > limit {
		return b, reject(CodeBatchTooLarge, "", "the batch has %d bytes; at most %d are taken", len(raw), limit)
	}
	o := newOutliner(raw)
	defer o.release()
	if frame, ok := o.batch(); ok {
		return o.calls(frame, env)
	}
	body := split(raw)
	if len(body.messages) > MaxBatchEvents {
		b.WriteKey = cmp.Or(writeKey(body.frame), writeKey(body.messages[0]))
		return b, reject(CodeTooManyEvents, "/batch", "a batch must have at most %d messages", MaxBatchEvents)
	}
	spaced, rej := check(body.frame)
	if rej != nil {
		return b, rej
	}
	if body.frame[0] != '{' || !body.found {
		return b, reject(CodeInvalidBatch, "/batch", `a batch must be an object with an array "batch"`)
	}
	b.WriteKey = writeKey(body.frame)
	if b.WriteKey == "" && len(body.messages) > 0 {
		b.WriteKey = writeKey(body.messages[0])
	}
	if rej := env.inherit(readFields(body.frame), spaced); rej != nil {
		return b, rej
	}
	b.Calls = make([]*Call, 0, len(body.messages))
	for i, message := range body.messages {
		c, rej := decode(message, &env)
		switch {
		case rej == nil:
			b.Calls = append(b.Calls, c)
		case rej.Code == CodeInvalidJSON:
			rej.Field = fmt.Sprintf("/batch/%d%s", i, rej.Field)
			return b, rej
		default:
			b.refuse(i, message, rej)
		}
	}
	return b, nil
}

func (b *Batch) refuse(index int, raw []byte, rej *Rejection) {
	r := Refused{Index: index, Rejection: rej, Raw: raw}
	for name, v := range members(raw) {
		switch string(name) {
		case "messageId":
			text, _ := Text(v)
			r.MessageID = printable(text)
		case "type":
			text, _ := Text(v)
			r.Type = printable(text)
		}
	}
	b.Refused = append(b.Refused, r)
}

// calls decodes the messages of an outlined batch.
func (o *outliner) calls(frame outline, env Envelope) (Batch, *Rejection) {
	var b Batch
	top := o.fields(frame)
	b.WriteKey = textOnly(top.writeKey)
	if rej := env.inherit(top, frame.spaced); rej != nil {
		if b.WriteKey == "" && len(o.messages) > 0 {
			b.WriteKey = textOnly(o.fields(o.messages[0]).writeKey)
		}
		return b, rej
	}
	b.Calls = make([]*Call, 0, len(o.messages))
	for i, l := range o.messages {
		text := o.raw[l.start:l.end:l.end]
		f := o.fields(l)
		if i == 0 && b.WriteKey == "" {
			b.WriteKey = textOnly(f.writeKey)
		}
		rej := env.tooLarge(text)
		var c *Call
		if rej == nil {
			c, rej = f.call(&env, l.spaced)
		}
		if rej != nil {
			b.refuse(i, text, rej)
			continue
		}
		b.Calls = append(b.Calls, c)
	}
	return b, nil
}

// inherit reads the batch level values into the envelope.
func (env *Envelope) inherit(f fields, spaced bool) *Rejection {
	r := reader{spaced: spaced}
	env.Context = r.object("context", f.context)
	env.Integrations = r.object("integrations", f.integrations)
	if f.sentAt != nil {
		env.SentAt, _ = parseTime(f.sentAt)
	}
	return r.rej
}

// parts are a batch body taken apart without validating it.
type parts struct {
	frame    []byte // the body with 0 in the place of every message
	messages []jsontext.Value
	found    bool // there is a "batch" array
}

// split takes a batch body apart by its brackets and quotes alone. The body is valid
// JSON exactly if the frame and all messages are, so each byte needs to be
// validated only once, and a fault has a known owner. It stops at the first message
// too many.
func split(raw []byte) parts {
	for body := open(raw, '{'); body.member(); {
		if string(body.name) != "batch" || body.current().Kind() != '[' {
			continue
		}
		p := parts{found: true, frame: append([]byte(nil), raw[:body.start]...)}
		copied := 0
		batch := open(body.current(), '[')
		for len(p.messages) <= MaxBatchEvents && batch.element() {
			p.messages = append(p.messages, batch.current())
			p.frame = append(p.frame, batch.raw[copied:batch.start]...)
			p.frame = append(p.frame, '0')
			copied = batch.end
		}
		p.frame = append(p.frame, batch.raw[copied:]...)
		p.frame = append(p.frame, raw[body.end:]...)
		return p
	}
	return parts{frame: raw}
}

// writeKey is the text of the member writeKey, "" if there is none.
func writeKey(raw jsontext.Value) string { return textOnly(find(raw, "writeKey")) }
