package event

import (
	"cmp"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Default sizes in bytes.
const (
	DefaultMaxBytes      = 32_768  // one message
	DefaultMaxBatchBytes = 512_000 // the body of a batch request
)

// Envelope is what surrounds a message: the request that carried it or the file
// that it stands in.
type Envelope struct {
	ReceivedAt time.Time // our clock, one value per request; required

	// Type is the type that the request's path names; it overrides the message's
	// own. "" means that the message says it.
	Type Type

	// RemoteIP is the address of the client. It becomes context.ip of calls that
	// come from the user's own device and do not tell one. What is no IP address is
	// taken for unknown.
	RemoteIP string

	// Archived says that the message was received long ago and is being read from a
	// file: its sentAt tells nothing about today, so its time is taken as it stands.
	Archived bool

	// Batch level values, which every message inherits. Context and Integrations
	// must be valid JSON objects or nil.
	Context, Integrations jsontext.Value
	SentAt                time.Time

	MaxBytes      int // of one message, together with what it inherits; 0 means DefaultMaxBytes
	MaxBatchBytes int // of a batch; 0 means DefaultMaxBatchBytes

	// NewID makes the message id of a call that has none; nil means NewMessageID.
	NewID func() string
}

// Decode reads one message: validates it, merges in what it inherits from the
// envelope, and corrects its times. The error is always a *Rejection.
func Decode(raw []byte, env Envelope) (*Call, error) {
	c, rej := decode(raw, &env)
	if rej != nil {
		return nil, rej
	}
	return c, nil
}

func decode(raw []byte, env *Envelope) (*Call, *Rejection) {
	raw = trimSpace(raw)
	if rej := env.tooLarge(raw); rej != nil {
		return nil, rej
	}
	o := newOutliner(raw)
	defer o.release()
	if l, ok := o.message(); ok {
		f := o.fields(l)
		return f.call(env, l.spaced)
	}
	spaced, rej := check(raw)
	if rej != nil {
		return nil, rej
	}
	if raw[0] != '{' {
		return nil, reject(CodeInvalidMessage, "", "a message must be a JSON object")
	}
	f := readFields(raw)
	return f.call(env, spaced)
}

// tooLarge refuses a message that is, together with what it inherits.
func (env *Envelope) tooLarge(raw []byte) *Rejection {
	limit := cmp.Or(env.MaxBytes, DefaultMaxBytes)
	if size := len(raw) + len(env.Context) + len(env.Integrations); size > limit {
		return reject(CodeMessageTooLarge, "", "the message has %d bytes, with the context of its batch; at most %d are taken", size, limit)
	}
	return nil
}

// call builds the normal form.
func (f *fields) call(env *Envelope, spaced bool) (*Call, *Rejection) {
	r := reader{spaced: spaced}
	c := &Call{Type: env.Type, ReceivedAt: env.ReceivedAt.UTC()}
	if c.Type == "" {
		c.Type = Type(r.text("type", f.kind))
	}
	c.MessageID = r.text("messageId", f.messageID)
	c.UserID = r.text("userId", f.userID)
	c.AnonymousID = r.text("anonymousId", f.anonymousID)
	c.Channel = textOnly(f.channel)
	switch c.Type {
	case Track:
		c.Event = textOnly(f.event)
		c.Properties = r.object("properties", f.properties)
	case Page, Screen:
		c.Name = r.text("name", f.name)
		c.Category = r.text("category", f.category)
		c.Properties = r.object("properties", f.properties)
	case Identify:
		c.Traits = r.object("traits", f.traits)
	case Group:
		c.GroupID = r.text("groupId", f.groupID)
		c.Traits = r.object("traits", f.traits)
	case Alias:
		c.PreviousID = r.text("previousId", f.previousID)
	default:
		return nil, reject(CodeInvalidType, "type", "%q is not one of identify, track, page, screen, group and alias", printable(string(c.Type)))
	}
	c.Context = merged(r.object("context", f.context), env.Context)
	c.Integrations = merged(r.object("integrations", f.integrations), env.Integrations)
	c.Metadata = r.object("_metadata", f.metadata)
	if r.rej != nil {
		return nil, r.rej
	}
	c.nameFromProperties()
	c.fillChannel(env.RemoteIP)
	if rej := c.setTimes(f, env); rej != nil {
		return nil, rej
	}
	if c.MessageID == "" {
		newID := env.NewID
		if newID == nil {
			newID = NewMessageID
		}
		c.MessageID = newID()
	}
	if rej := c.validate(f); rej != nil {
		return nil, rej
	}
	c.ProfileSkip = c.profileSkip(f)
	return c, nil
}

// reader turns raw values into what a field wants and keeps the first fault.
type reader struct {
	spaced bool
	rej    *Rejection
}

func (r *reader) fail(field, format string, args ...any) {
	if r.rej == nil {
		r.rej = reject(CodeInvalidField, field, format, args...)
	}
}

// text is the text of a string or number; "" when absent.
func (r *reader) text(field string, v jsontext.Value) string {
	if v == nil {
		return ""
	}
	s, ok := Text(v)
	if !ok {
		r.fail(field, "%s must be text or a number", field)
	}
	return s
}

// textOnly is the text of a string; "" for any other value.
func textOnly(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	return string(unquoted(v))
}

// object is a compact JSON object; nil when absent. An empty array counts as
// absent: it is how PHP writes an empty object.
func (r *reader) object(field string, v jsontext.Value) jsontext.Value {
	switch {
	case v == nil:
		return nil
	case v[0] == '{':
		return compact(v, r.spaced)
	case v[0] == '[' && v[skipSpace(v, 1)] == ']':
		return nil
	}
	r.fail(field, "%s must be an object", field)
	return nil
}
