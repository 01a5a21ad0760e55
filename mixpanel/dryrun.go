package mixpanel

import (
	"net/url"
	"slices"
	"time"

	"muster/event"
)

// A DryRun shows what calls would become, without sending anything.
type DryRun struct {
	settings Settings
	mapper   *Mapper
	fault    error
}

// NewDryRun prepares a dry run. Faults of the settings are not lost: every line tells them.
func NewDryRun(s Settings) *DryRun {
	mapper, err := NewMapper(s)
	return &DryRun{settings: s, mapper: mapper, fault: err}
}

// Line is one line of JSON without its end: the call's messageId, and either the messages with
// endpoint, base_url, query and body, or an error. Credentials are never part of it.
func (r *DryRun) Line(c *event.Call, now time.Time) []byte {
	if r.fault != nil {
		return ErrorLine(c.MessageID, r.fault)
	}
	messages, err := r.mapper.Map(c, now)
	if err != nil {
		return ErrorLine(c.MessageID, err)
	}
	line := appendString([]byte(`{"messageId":`), c.MessageID)
	line = append(line, `,"messages":[`...)
	for i := range messages {
		if i > 0 {
			line = append(line, ',')
		}
		line = r.appendMessage(line, &messages[i])
	}
	return append(line, "]}"...)
}

// ErrorLine is what [DryRun.Line] returns for a call that is refused, for callers that
// find the fault themselves.
func ErrorLine(messageID string, err error) []byte {
	line := appendString([]byte(`{"messageId":`), messageID)
	line = appendStringMember(line, "error", err.Error())
	return append(line, '}')
}

func (r *DryRun) appendMessage(dst []byte, m *Message) []byte {
	dst = appendString(append(dst, `{"endpoint":`...), string(m.Endpoint))
	dst = appendStringMember(dst, "base_url", r.settings.base())
	dst = appendQuery(append(dst, `,"query":`...), queryOf(&r.settings, m.Endpoint))
	dst = appendMember(dst, "body", m.Body)
	if names := m.Warnings.Names(); len(names) > 0 {
		dst = append(dst, `,"warnings":[`...)
		for i, n := range names {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, n)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendQuery(dst []byte, query url.Values) []byte {
	names := make([]string, 0, len(query))
	for n := range query {
		names = append(names, n)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, n := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, n)
		dst = append(dst, ':')
		dst = appendString(dst, query.Get(n))
	}
	return append(dst, '}')
}
