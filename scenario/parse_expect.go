package scenario

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/shopspring/decimal"

	"muster/identity"
	"muster/query"
)

// readExpectation reads what must be true after a step. standing are the definitions
// that stay in force if what the step defines under their keys is refused.
func (p *scenarioParser) readExpectation(st *Step, n ast.Node, standing map[string]bool) {
	e := &st.Expect
	parts := map[string]ast.Node{}
	later := func(name string) func(ast.Node) { return func(n ast.Node) { parts[name] = n } }
	p.fields(n, "an expectation", map[string]func(ast.Node){
		"members":       later("members"),
		"traits":        later("traits"),
		"emitted":       later("emitted"),
		"emitted_ids":   later("emitted_ids"),
		"members_count": later("members_count"),
		"trait_sum":     later("trait_sum"),
		"trait_count":   later("trait_count"),
		"rejected":      func(n ast.Node) { e.Rejected = p.rejected(n, st, standing) },
	})
	if n := parts["members"]; n != nil {
		e.Members = p.expectMembers(n)
	}
	if n := parts["traits"]; n != nil {
		e.Traits = p.expectTraits(n)
	}
	if n := parts["emitted"]; n != nil {
		e.Emitted = p.expectEmitted(n)
	}
	if n := parts["emitted_ids"]; n != nil {
		e.Covered = p.expectCovered(n)
	}
	for _, name := range [...]string{"emitted", "emitted_ids"} {
		if n := parts[name]; n != nil && !st.Compute {
			p.faultf(n, "add `compute: true` to the step", "%s is what a settle sends, but the step does not settle", name)
		}
	}
	if n := parts["members_count"]; n != nil {
		e.MembersCount = keyed(p, n, "members_count", query.Audience, func(n ast.Node) int { return p.count(n, "members_count", 0) })
	}
	if n := parts["trait_sum"]; n != nil {
		e.TraitSum = keyed(p, n, "trait_sum", query.Trait, p.sum)
	}
	if n := parts["trait_count"]; n != nil {
		e.TraitCount = keyed(p, n, "trait_count", query.Trait, func(n ast.Node) int { return p.count(n, "trait_count", 0) })
	}
}

func (p *scenarioParser) rejected(n ast.Node, st *Step, standing map[string]bool) []string {
	keys := p.words(n, "rejected")
	if p.isList(n) && keys == nil {
		return []string{}
	}
	defined := map[string]bool{}
	for _, def := range st.Define {
		defined[def.Key] = true
	}
	if len(p.scenario.Steps) == 0 {
		for _, def := range p.scenario.Definitions {
			defined[def.Key] = true
		}
	}
	for _, key := range keys {
		if !defined[key] {
			p.faultf(n, "", "rejected names %q, which this step does not define", key)
		}
		if !standing[key] {
			p.roster.end(key)
		}
	}
	return keys
}

// only is the key that is meant where none is written.
func (p *scenarioParser) only(n ast.Node, what string, kinds ...query.Purpose) (string, bool) {
	keys := p.roster.keys(kinds...)
	switch len(keys) {
	case 1:
		return keys[0], true
	case 0:
		p.faultf(n, "", "%s: no %s is defined", what, kindsText(kinds))
	default:
		p.faultf(n, "say which one is meant: "+strings.Join(keys, ", "), "%s: there are %d definitions", what, len(keys))
	}
	return "", false
}

// key checks a key that is written.
func (p *scenarioParser) key(n ast.Node, key string, kinds ...query.Purpose) bool {
	if p.roster.is(key, kinds...) {
		return true
	}
	hint := ""
	if keys := p.roster.keys(kinds...); len(keys) > 0 {
		hint = "there is " + strings.Join(keys, ", ")
	}
	p.faultf(n, hint, "no %s with the key %q is defined", kindsText(kinds), key)
	return false
}

// expectMembers reads a list of the only audience, or lists by key. An empty list is
// nobody in any audience.
func (p *scenarioParser) expectMembers(n ast.Node) map[string][]identity.ID {
	sets := map[string][]identity.ID{}
	if !p.isMapping(n) {
		ids := p.refs(n, "members")
		if len(ids) == 0 {
			for _, key := range p.roster.keys(query.Audience) {
				sets[key] = ids
			}
		} else if key, ok := p.only(n, "members", query.Audience); ok {
			sets[key] = ids
		}
		return sets
	}
	members, _ := p.members(n, "members")
	for _, m := range members {
		if p.key(m.key, m.name, query.Audience) {
			sets[m.name] = p.refs(m.value, "the members of "+m.name)
		}
	}
	return sets
}

// expectTraits reads the values of the only trait by profile, or those of several by
// key. With nothing in it, no profile has a value of any trait.
func (p *scenarioParser) expectTraits(n ast.Node) map[string]map[identity.ID]query.Value {
	members, ok := p.members(n, "traits")
	all := map[string]map[identity.ID]query.Value{}
	if !ok {
		return all
	}
	if len(members) == 0 {
		for _, key := range p.roster.keys(query.Trait) {
			all[key] = map[identity.ID]query.Value{}
		}
		return all
	}
	if !p.byKey(members) {
		if key, ok := p.only(n, "traits", query.Trait); ok {
			all[key] = p.valuesOf(members)
		}
		return all
	}
	for _, m := range members {
		if p.key(m.key, m.name, query.Trait) {
			inner, _ := p.members(m.value, "the values of "+m.name)
			all[m.name] = p.valuesOf(inner)
		}
	}
	return all
}

// byKey tells values by key from values by profile, which can be objects too.
func (p *scenarioParser) byKey(members []member) bool {
	known := false
	for _, m := range members {
		if p.plain(m.value) != nil && !p.isMapping(m.value) {
			return false
		}
		known = known || p.roster.is(m.name, query.Trait)
	}
	return known || len(p.roster.keys(query.Trait)) != 1
}

// valuesOf are values by profile. One of null is none.
func (p *scenarioParser) valuesOf(members []member) map[identity.ID]query.Value {
	values := make(map[identity.ID]query.Value, len(members))
	for _, m := range members {
		id, ok := p.refOf(m.key, m.name)
		if !ok {
			continue
		}
		if _, twice := values[id]; twice {
			p.faultf(m.key, "", "%s is named twice", m.name)
		}
		if v := p.value(m.value); !v.IsNull() {
			values[id] = v
		}
	}
	return values
}

func (p *scenarioParser) value(n ast.Node) query.Value {
	v, err := query.ParseValue(p.appendJSON(nil, n, 0))
	if err != nil {
		p.faultf(n, "", "%v", err)
	}
	return v
}

func (p *scenarioParser) expectEmitted(n ast.Node) []Emission {
	list := p.list(n, "emitted")
	all := make([]Emission, 0, len(list))
	for _, n := range list {
		var e Emission
		var def, to, value ast.Node
		p.fields(n, "a message", map[string]func(ast.Node){
			"def":   func(n ast.Node) { def = n },
			"to":    func(n ast.Node) { to = n },
			"value": func(n ast.Node) { value = n },
		})
		if to == nil || value == nil {
			p.faultf(n, "write {to: \"user:ID\", value: true}", "a message needs `to` and `value`")
			continue
		}
		if def == nil {
			e.Key, _ = p.only(n, "the message's def", query.Audience, query.Trait)
		} else if key, ok := p.text(def, "def"); ok && p.key(def, key, query.Audience, query.Trait) {
			e.Key = key
		}
		e.To, _ = p.ref(to, "to")
		e.Value = p.value(value)
		all = append(all, e)
	}
	return all
}

func (p *scenarioParser) expectCovered(n ast.Node) map[string]Cover {
	members, _ := p.members(n, "emitted_ids")
	covers := map[string]Cover{}
	for _, m := range members {
		if !p.key(m.key, m.name, query.Audience, query.Trait) {
			continue
		}
		var c Cover
		var value, ids ast.Node
		p.fields(m.value, "a cover", map[string]func(ast.Node){
			"value": func(n ast.Node) { value = n },
			"cover": func(n ast.Node) { ids = n },
		})
		if value == nil || ids == nil {
			p.faultf(m.key, "write {value: true, cover: [\"user:ID\"]}", "emitted_ids of %s needs `value` and `cover`", m.name)
			continue
		}
		c.Value, c.IDs = p.value(value), p.refs(ids, "cover")
		covers[m.name] = c
	}
	return covers
}

// keyed reads a number of the only definition, or numbers by key.
func keyed[T any](p *scenarioParser, n ast.Node, what string, kind query.Purpose, read func(ast.Node) T) map[string]T {
	all := map[string]T{}
	if !p.isMapping(n) {
		if key, ok := p.only(n, what, kind); ok {
			all[key] = read(n)
		}
		return all
	}
	members, _ := p.members(n, what)
	for _, m := range members {
		if p.key(m.key, m.name, kind) {
			all[m.name] = read(m.value)
		}
	}
	return all
}

// maxDigits bounds the text of a sum.
const maxDigits = 60

func (p *scenarioParser) sum(n ast.Node) decimal.Decimal {
	text, ok := p.text(n, "trait_sum")
	if !ok {
		return decimal.Zero
	}
	if len(text) <= maxDigits && isNumber(text) && !strings.ContainsAny(text, "eE") {
		if d, err := decimal.NewFromString(text); err == nil {
			return d
		}
	}
	p.faultf(n, "", "trait_sum must be a number, such as 1071805.47")
	return decimal.Zero
}
