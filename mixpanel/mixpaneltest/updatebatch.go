package mixpaneltest

import (
	"fmt"
	"net/http"
	"slices"
)

// updateBatch are the records of one request to /engage or /groups.
type updateBatch struct {
	*call
	updates []update
}

func (c *call) parseUpdates() *updateBatch {
	b := &updateBatch{call: c, updates: make([]update, len(c.records))}
	for i, record := range c.records {
		b.updates[i] = c.parseUpdate(i, record)
	}
	return b
}

func (b *updateBatch) board() {
	for i := range b.updates {
		if u := &b.updates[i]; u.problem == "" {
			b.server.flights.board(b.call, u.token, u.id, asProfile, i)
		}
	}
}

// apply applies the updates in their order.
func (b *updateBatch) apply() answer {
	failed := []FailedRecord{}
	for i := range b.updates {
		u := &b.updates[i]
		if message, refused := b.refuses(i); refused {
			failed = append(failed, FailedRecord{Index: i, Message: message})
			continue
		}
		if u.problem == "" {
			u.problem = b.applyOne(i, u)
		}
		if u.problem != "" {
			b.violate(i, RuleInvalid, u.problem)
			failed = append(failed, FailedRecord{Index: i, Field: u.field, Message: u.problem})
			continue
		}
		b.good++
	}
	if b.strict && b.server.options.EngageStrictAnswers {
		return b.strictAnswer(failed)
	}
	switch {
	case len(b.updates) == 0:
		return b.flag("data, missing or empty")
	case len(failed) == 0 || b.server.options.LenientAnswers && b.good > 0:
		return b.flag("")
	default:
		return b.flag(failed[0].Message)
	}
}

func (b *updateBatch) applyOne(index int, u *update) (problem string) {
	p := b.server.projects[u.token]
	if p == nil || p.foreign {
		b.server.orphans.add(b.server.options.KeepFindings, b.orphan(index, u.token, p))
		return ""
	}
	if b.endpoint == Groups {
		if !slices.Contains(p.GroupKeys, u.groupKey) {
			b.server.orphans.add(b.server.options.KeepFindings, b.orphaned(index, u.token, OrphanUnknownGroupKey))
			return ""
		}
		return b.server.update(p.groups, u.id, u, b.now)
	}
	ids := &p.identities
	ids.mu.RLock()
	defer ids.mu.RUnlock()
	if ids.unsettled(u.id, b.now) {
		b.violate(index, RuleUnsettled, fmt.Sprintf("an update of %q within the settle time of its alias", printableID(u.id)))
	}
	id := u.id
	if !u.ignoreAlias {
		id = ids.resolve(id, b.now)
	}
	return b.server.update(p.users, id, u, b.now)
}

// strictAnswer lists the failed records. Its shape is a guess: that of /import,
// with the count that an importer was seen to read; the HTTP status stays 200.
func (b *updateBatch) strictAnswer(failed []FailedRecord) answer {
	type failure struct {
		Index   int    `json:"index"`
		Field   string `json:"field"`
		Message string `json:"message"`
	}
	verdict := struct {
		Code   int       `json:"code"`
		Error  string    `json:"error,omitzero"`
		Status string    `json:"status"`
		Good   int       `json:"num_good_events"`
		Failed []failure `json:"failed_records,omitempty"`
	}{Code: http.StatusOK, Status: "OK", Good: b.good}
	if len(failed) > 0 {
		verdict.Code, verdict.Error, verdict.Status = http.StatusBadRequest, validationFailed, http.StatusText(http.StatusBadRequest)
	}
	for _, f := range failed {
		verdict.Failed = append(verdict.Failed, failure{f.Index, f.Field, f.Message})
	}
	return jsonAnswer(http.StatusOK, verdict)
}
