package scenario

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"muster/engine"
	"muster/event"
	"muster/identity"
	"muster/query"
)

// scenarioParser reads the definitions and steps of one scenario.
type scenarioParser struct {
	*fileParser
	scenario *Scenario
	roster   roster
}

func (p *scenarioParser) definitions(n ast.Node) []engine.Definition {
	list := p.list(n, "definitions")
	var all []engine.Definition
	for _, n := range list {
		if def, ok := p.definition(n); ok {
			all = append(all, def)
		}
	}
	return all
}

func (p *scenarioParser) definition(n ast.Node) (engine.Definition, bool) {
	def := engine.Definition{IncludeHistorical: true}
	told := engine.ConnectionDefinition{Destination: Destination}
	p.fields(n, "a definition", map[string]func(ast.Node){
		"key":                p.set(&def.Key, "the key"),
		"name":               p.set(&def.Name, "the name"),
		"kind":               func(n ast.Node) { def.Kind = p.kind(n) },
		"query":              p.set(&def.Query, "the query"),
		"schedule":           p.set(&def.Schedule, "the schedule"),
		"include_anonymous":  func(n ast.Node) { def.IncludeAnonymous = p.flag(n, "include_anonymous") },
		"include_historical": func(n ast.Node) { def.IncludeHistorical = p.flag(n, "include_historical") },
		"backfill_days":      func(n ast.Node) { def.BackfillDays = p.count(n, "backfill_days", 0) },
		"enabled":            func(n ast.Node) { def.Disabled = !p.flag(n, "enabled") },
		"reuse_key":          func(n ast.Node) { def.ReuseKey = p.flag(n, "reuse_key") },
		"emit":               func(n ast.Node) { told.Emit = p.emit(n) },
		"id_strategy":        func(n ast.Node) { told.Strategy = p.strategy(n) },
	})
	if def.Key == "" {
		p.faultf(n, "", "the definition has no key")
		return def, false
	}
	if def.Query == "" {
		p.faultf(n, "", "the definition of %s has no query", def.Key)
	}
	if def.Kind == "" {
		p.faultf(n, "write `kind: audience` or `kind: trait`", "the definition of %s has no kind", def.Key)
	}
	def.Connections = []engine.ConnectionDefinition{told}
	p.roster.add(def.Key, def.Kind)
	return def, true
}

func (p *scenarioParser) kind(n ast.Node) query.Purpose {
	text, ok := p.text(n, "the kind")
	kind := query.Purpose(text)
	if ok && kind != query.Audience && kind != query.Trait {
		p.faultf(n, "write `kind: audience` or `kind: trait`", "%q is no kind", text)
		return query.Audience
	}
	return kind
}

func (p *scenarioParser) emit(n ast.Node) engine.Emit {
	text, ok := p.text(n, "emit")
	emit := engine.Emit(text)
	if ok && emit != engine.EmitIdentify && emit != engine.EmitTrack {
		p.faultf(n, "write `emit: identify` or `emit: track`", "%q is no way to emit", text)
	}
	return emit
}

func (p *scenarioParser) strategy(n ast.Node) identity.Strategy {
	text, ok := p.text(n, "id_strategy")
	strategy := identity.Strategy(text)
	if ok && !strategy.Valid() {
		p.faultf(n, "write all, first or last", "%q is no id_strategy", text)
	}
	return strategy
}

func (p *scenarioParser) readStep(n ast.Node) {
	line, _ := place(n)
	st := &Step{Line: line}
	at, parts := ast.Node(nil), map[string]ast.Node{}
	later := func(name string) func(ast.Node) { return func(n ast.Node) { parts[name] = n } }
	p.fields(n, "a step", map[string]func(ast.Node){
		"at":             func(n ast.Node) { at = n },
		"define":         later("define"),
		"remove":         later("remove"),
		"delete_profile": later("delete_profile"),
		"events":         later("events"),
		"events_file":    later("events_file"),
		"compute":        func(n ast.Node) { st.Compute = p.flag(n, "compute") },
		"expect":         later("expect"),
	})
	if !p.readAt(st, n, at) {
		return
	}
	standing := map[string]bool{} // definitions that a refused one leaves as they are
	if len(p.scenario.Steps) > 0 {
		standing = p.roster.inForce()
	}
	st.Define = p.definitions(parts["define"])
	st.Remove = p.removed(parts["remove"])
	st.DeleteProfile = p.refs(parts["delete_profile"], "delete_profile")
	list := p.list(parts["events"], "events")
	for _, n := range list {
		if e, ok := p.readEvent(n, st); ok {
			st.Events = append(st.Events, e)
		}
	}
	if file := parts["events_file"]; file != nil {
		if st.EventsFile, _ = p.text(file, "events_file"); st.EventsFile != "" {
			if err := p.open(st.EventsFile); err != nil {
				p.faultf(file, "its path is relative to the file of scenarios", "the file of calls cannot be read: %v", err)
			}
		}
	}
	if expect := parts["expect"]; expect != nil {
		p.readExpectation(st, expect, standing)
	}
	p.scenario.Steps = append(p.scenario.Steps, st)
}

func (p *scenarioParser) readAt(st *Step, n, at ast.Node) bool {
	if at == nil {
		p.faultf(n, "begin it with `at: \"+0d\"`", "the step does not say when it is")
		return false
	}
	var ok bool
	if st.Offset, ok = p.offset(at, "at"); !ok {
		return false
	}
	st.At = p.scenario.T0.Add(time.Duration(st.Offset))
	if !inRange(st.At) {
		p.faultf(at, "", "the step lies outside of the years 1970 to 9999")
		return false
	}
	if steps := p.scenario.Steps; len(steps) > 0 && st.At.Before(steps[len(steps)-1].At) {
		p.faultf(at, "steps are written in the order of time; a late call has `ts`", "the step at %s goes back in time, from %s", st.Offset, steps[len(steps)-1].Offset)
	}
	return true
}

func inRange(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9999 }

func (p *scenarioParser) offset(n ast.Node, what string) (Offset, bool) {
	text, ok := p.text(n, what)
	if !ok {
		return 0, false
	}
	o, err := ParseOffset(text)
	if err != nil {
		p.faultf(n, "", "%s is %q: %v", what, text, err)
	}
	return o, err == nil
}

func (p *scenarioParser) removed(n ast.Node) []string {
	if n == nil {
		return nil
	}
	keys := p.words(n, "remove")
	for _, key := range keys {
		if !p.roster.is(key, query.Audience, query.Trait) {
			p.faultf(n, "", "nothing with the key %q is defined before this step", key)
		}
		p.roster.end(key)
	}
	return keys
}

func (p *scenarioParser) refs(n ast.Node, what string) []identity.ID {
	list := p.list(n, what)
	ids := make([]identity.ID, 0, len(list))
	for _, e := range list {
		if id, ok := p.ref(e, "an id"); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *scenarioParser) ref(n ast.Node, what string) (identity.ID, bool) {
	text, ok := p.text(n, what)
	if !ok {
		return identity.ID{}, false
	}
	return p.refOf(n, text)
}

func (p *scenarioParser) refOf(n ast.Node, text string) (identity.ID, bool) {
	id, err := ParseRef(text)
	if err != nil {
		p.faultf(n, "write a user id, anon:ID or email:ADDRESS", "%q names nobody: %v", text, err)
	}
	return id, err == nil
}

// maxRepeat bounds how many calls one line of a scenario makes.
const maxRepeat = 100_000

// readEvent reads a call: what this package adds to Segment's format is taken out, the
// rest must be a call that the Tracking API takes.
func (p *scenarioParser) readEvent(n ast.Node, st *Step) (Event, bool) {
	line, _ := place(n)
	e := Event{Line: line, Repeat: 1, Source: DefaultSource}
	members, ok := p.members(n, "a call")
	if !ok {
		return e, false
	}
	before := len(p.faults)
	var call []member
	var stamp, ts ast.Node
	for _, m := range members {
		switch m.name {
		case "ts":
			ts = m.value
		case "repeat":
			e.Repeat = p.count(m.value, "repeat", 1)
			if e.Repeat > maxRepeat {
				p.faultf(m.value, "", "repeat is at most %d", maxRepeat)
			}
		case "source":
			e.Source, _ = p.text(m.value, "the source")
		case "timestamp":
			stamp = m.value
			call = append(call, m)
		default:
			call = append(call, m)
		}
	}
	if ts != nil {
		if stamp != nil {
			p.faultf(ts, "leave one of them out", "the call says its time twice, with timestamp and with ts")
		}
		if o, ok := p.offset(ts, "ts"); ok {
			if e.At = p.scenario.T0.Add(time.Duration(o)).Truncate(time.Millisecond); !inRange(e.At) {
				p.faultf(ts, "", "the call lies outside of the years 1970 to 9999")
			}
		}
	}
	e.Call = p.appendObject(nil, call, 0)
	if len(p.faults) > before {
		return e, false
	}
	return e, p.checkCall(n, stamp, e, st)
}

// checkCall notes what the Tracking API would refuse, or would silently put right.
func (p *scenarioParser) checkCall(n, stamp ast.Node, e Event, st *Step) bool {
	c, err := e.decode(st.At, func() string { return "check" })
	if bad := (*event.Rejection)(nil); errors.As(err, &bad) {
		p.faultf(n, "", "the Tracking API refuses this call: %s", bad.Error())
		return false
	}
	for _, w := range c.Warnings {
		at := n
		if stamp != nil {
			at = stamp
		}
		switch w.Code {
		case event.CodeUnreadableTimestamp:
			p.faultf(at, "write an instant like \"2026-02-02T00:00:00Z\"; an offset is written `ts: -3d`", "%s cannot be read", w.Field)
		case event.CodeTimestampInFuture:
			p.faultf(at, "write `ts` if the call is meant to be of the future", "the Tracking API takes a call that is stamped more than 24 hours ahead for one of now")
		default:
			p.faultf(at, "", "the Tracking API is in doubt about %s: %s", w.Field, w.Code)
		}
	}
	return len(c.Warnings) == 0
}

// count reads a whole number, at least least.
func (p *fileParser) count(n ast.Node, what string, least int) int {
	text, ok := p.text(n, what)
	if !ok {
		return least
	}
	i, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
	if err != nil || i < least {
		p.faultf(n, "", "%s must be a whole number, at least %d", what, least)
		return least
	}
	return i
}
