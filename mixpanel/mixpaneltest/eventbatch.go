package mixpaneltest

import "fmt"

// Effect is what an identity event did to the project's identities.
type Effect string

// The effects. Mixpanel answers both with success.
const (
	EffectNone    Effect = ""        // it is no identity event
	EffectMerged  Effect = "merged"  // two ids are one now
	EffectIgnored Effect = "ignored" // a silent rule of the id merge mode made it void
)

// eventBatch are the records of one request to /import or /track.
type eventBatch struct {
	*call
	events []eventRecord
}

func (c *call) parseEvents() *eventBatch {
	b := &eventBatch{call: c, events: make([]eventRecord, len(c.records))}
	for i, record := range c.records {
		e := c.parseEvent(i, record)
		b.events[i] = e
		if c.endpoint == Import && e.token != "" && e.token != c.project.Token {
			c.violate(i, RuleTokenMismatch, "the token in the event is not that of the credentials")
		}
		if e.identity.kind != "" && len(c.records) > 1 {
			c.violate(i, RuleIdentityBatched, fmt.Sprintf("%s in a batch of %d", e.identity.kind, len(c.records)))
		}
		if c.endpoint == Track && c.project == nil {
			c.project = c.server.projects[e.token] // for the rate
		}
	}
	return b
}

// token is the project of an event: that of the credentials, else its own.
func (b *eventBatch) token(e *eventRecord) string {
	if b.endpoint == Import {
		return b.project.Token
	}
	return e.token
}

func (b *eventBatch) board() {
	for i := range b.events {
		e := &b.events[i]
		switch {
		case e.identity.kind != "":
			as := asIdentity
			if p := b.server.projects[b.token(e)]; p != nil && e.identity.kind != eventMerge && p.identities.belongs(e.identity.other) {
				as = asEvent // it changes nothing, in whatever order
			}
			b.server.flights.board(b.call, b.token(e), e.identity.id, as, i)
			b.server.flights.board(b.call, b.token(e), e.identity.other, as, i)
		case e.distinctID != "":
			b.server.flights.board(b.call, b.token(e), e.distinctID, asEvent, i)
		}
	}
}

// apply judges the events and keeps the good ones.
func (b *eventBatch) apply() answer {
	if b.endpoint == Import && b.project.IDMerge == Simplified {
		for i := range b.events {
			if b.events[i].identity.kind != "" {
				b.violate(i, RuleInvalid, identityRefused)
				return importRefusal(validationFailed, 0, []string{identityRefused})
			}
		}
	}
	failed := []FailedRecord{}
	var lost []Orphan
	var dropped []Dropped
	kept := map[*project][]stored{}
	fail := func(e *eventRecord, f *FailedRecord) {
		failed = append(failed, *f)
		if b.endpoint == Import && !b.strict {
			dropped = append(dropped, b.drop(e, f.Message))
		}
	}
	for i := range b.events {
		e := &b.events[i]
		if message, refused := b.refuses(i); refused {
			fail(e, e.failure("event", message))
			continue
		}
		p := b.server.projects[b.token(e)]
		if f := b.judge(e, p); f != nil {
			b.violate(i, RuleInvalid, f.Message)
			fail(e, f)
			continue
		}
		b.good++
		switch {
		case p == nil || p.foreign:
			lost = append(lost, b.orphan(i, b.token(e), p))
		case e.ignore:
			dropped = append(dropped, b.drop(e, DroppedIgnore))
		case b.endpoint == Track && b.tooOld(e):
			b.violate(i, RuleTooOld, "the event is older than /track takes")
			dropped = append(dropped, b.drop(e, DroppedOld))
		default:
			if e.geo == GeoRequest {
				b.violate(i, RuleGeoByRequest, "the event has no usable ip")
			}
			kept[p] = append(kept[p], b.take(e, p))
		}
	}
	for p, events := range kept {
		p.events.add(events)
	}
	b.server.orphans.add(b.server.options.KeepFindings, lost...)
	b.server.dropped.add(b.server.options.KeepFindings, dropped...)
	return b.conclude(failed)
}

func (b *eventBatch) judge(e *eventRecord, p *project) *FailedRecord {
	l := &b.server.options.Limits
	if b.endpoint == Import {
		return e.judgeImport(l, p.IDMerge, b.strict, b.now)
	}
	if f := e.judgeTrack(l, b.now); f != nil {
		return f
	}
	if p != nil && p.IDMerge == Simplified && e.identity.kind != "" {
		return e.failure("event", identityRefused)
	}
	return nil
}

func (b *eventBatch) tooOld(e *eventRecord) bool {
	return e.identity.kind == "" && e.time < b.now.Add(-b.server.options.Limits.TrackAge).UnixMilli()
}

// conclude words the answer.
func (b *eventBatch) conclude(failed []FailedRecord) answer {
	if b.endpoint == Import {
		if len(failed) > 0 && b.strict {
			return importRefusal(validationFailed, b.good, failed)
		}
		return imported(b.good)
	}
	if len(b.events) == 0 {
		return b.flag("data, missing or empty")
	}
	if len(failed) == 0 || b.server.options.LenientAnswers && b.good > 0 {
		return b.flag("")
	}
	return b.flag(failed[0].Message)
}

// take joins the ids of an event and returns what is to be kept of it.
func (b *eventBatch) take(e *eventRecord, p *project) stored {
	st := stored{
		record: string(e.record), name: e.name, distinctID: e.distinctID, insertID: e.insertID,
		time: e.time, received: b.now.UnixMilli(), geo: e.geo, endpoint: b.endpoint,
	}
	if st.time == 0 {
		st.time = st.received
	}
	ids := &p.identities
	if e.identity.kind != "" {
		st.distinctID = e.identity.id
		st.effect = EffectIgnored
		if b.identify(e.identity, p) {
			st.effect = EffectMerged
		}
		return st
	}
	ids.mu.RLock()
	unsettled := ids.unsettled(e.distinctID, b.now)
	var link bool
	switch ids.mode {
	case Simplified:
		st.user, st.device = simplify(e.distinctID, e.user, e.device)
		link = st.user != "" && st.device != "" && !ids.linked(st.device)
	default:
		if ids.mode == Legacy {
			st.distinctID = ids.resolve(e.distinctID, b.now)
		}
	}
	ids.mu.RUnlock()
	if unsettled {
		b.violate(e.index, RuleUnsettled, fmt.Sprintf("an event of %q within the settle time of its alias", printableID(e.distinctID)))
	}
	if link {
		ids.mu.Lock()
		ids.link(st.device, st.user)
		ids.mu.Unlock()
	}
	return st
}

// identify carries out an identity event and moves the profile that it merges away.
func (b *eventBatch) identify(e identityEvent, p *project) (merged bool) {
	ids := &p.identities
	ids.mu.Lock()
	defer ids.mu.Unlock()
	var did effect
	switch {
	case e.kind == eventCreateAlias:
		did = ids.createAlias(e.id, e.other, b.now, b.server.options.AliasSettle)
	case ids.mode != Original: // the other two mean nothing in a legacy project [assumed]
	case e.kind == eventIdentify:
		did = ids.identify(e.id, e.other)
	case e.kind == eventMerge:
		did = ids.merge(e.id, e.other)
	}
	if did.winner != "" {
		if from := p.users.take(did.id); from != nil {
			p.users.adopt(did.winner, from)
		}
	}
	return did.merged
}

func (c *call) orphan(index int, token string, p *project) Orphan {
	reason := OrphanUnknownToken
	if p != nil {
		reason = OrphanForeignRegion
	}
	return c.orphaned(index, token, reason)
}

func (c *call) orphaned(index int, token, reason string) Orphan {
	c.violate(index, RuleOrphan, reason)
	return Orphan{
		Time: c.now, Request: c.number, Endpoint: c.endpoint, Index: index,
		Token: token, Reason: reason, Record: string(c.records[index]),
	}
}

func (b *eventBatch) drop(e *eventRecord, reason string) Dropped {
	return Dropped{
		Time: b.now, Request: b.number, Index: e.index, Token: b.token(e), Reason: reason, Record: string(e.record),
	}
}
