package mixpaneltest

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// operator is what a profile record does.
type operator string

const (
	opSet     operator = "$set"
	opSetOnce operator = "$set_once"
	opAdd     operator = "$add"
	opAppend  operator = "$append"
	opUnion   operator = "$union"
	opRemove  operator = "$remove"
	opUnset   operator = "$unset"
	opDelete  operator = "$delete"
)

// forGroups tells whether /groups takes the operation. Mixpanel's page on group
// batches lists $add, the page on profiles excludes it; we exclude it.
func (o operator) forGroups() bool { return o != opAdd && o != opAppend }

// creates tells whether the operation makes a profile that is not there yet.
func (o operator) creates() bool {
	switch o {
	case opSet, opSetOnce, opAdd, opAppend, opUnion:
		return true
	default:
		return false
	}
}

func operatorOf(key []byte) (operator, bool) {
	switch operator(key) {
	case opSet:
		return opSet, true
	case opSetOnce:
		return opSetOnce, true
	case opAdd:
		return opAdd, true
	case opAppend:
		return opAppend, true
	case opUnion:
		return opUnion, true
	case opRemove:
		return opRemove, true
	case opUnset:
		return opUnset, true
	case opDelete:
		return opDelete, true
	}
	return "", false
}

// operation is an operator with its operands.
type operation struct {
	operator operator
	operands properties // in the order of the record; $unset has names only
}

// parseOperation reads the operand of op. problem is "" when it is valid.
func (l *Limits) parseOperation(op operator, v jsontext.Value, names *interner) (o operation, problem string) {
	o.operator = op
	if op == opDelete {
		return o, ""
	}
	if op == opUnset {
		if v.Kind() != '[' {
			return o, "must be a list of property names"
		}
		elements(v, func(e jsontext.Value) bool {
			if e.Kind() != '"' {
				problem = "must be a list of property names"
				return false
			}
			o.operands = append(o.operands, property{name: l.name(unquote(e), names)})
			return true
		})
		if problem == "" && len(o.operands) == 0 {
			problem = "must not be an empty list"
		}
		return o, problem
	}
	if v.Kind() != '{' {
		return o, "must be an object"
	}
	members(v, func(name []byte, value jsontext.Value) bool {
		if problem = l.checkOperand(op, value); problem != "" {
			problem = fmt.Sprintf("%q: %s", name, problem)
			return false
		}
		o.operands = append(o.operands, property{l.name(name, names), l.decode(value)})
		return true
	})
	return o, problem
}

func (l *Limits) name(b []byte, names *interner) string {
	if len(b) > l.NameBytes {
		return cut(string(b), l.NameBytes)
	}
	return names.intern(b)
}

func (l *Limits) checkOperand(op operator, v jsontext.Value) (problem string) {
	switch op {
	case opAdd:
		if v.Kind() != '0' {
			return "must be a number"
		}
	case opUnion:
		if v.Kind() != '[' {
			return "must be a list"
		}
		n := 0
		elements(v, func(e jsontext.Value) bool {
			n++
			if k := e.Kind(); k != '"' && k != '0' {
				problem = "must be a list of strings and numbers only"
			}
			return problem == ""
		})
		if n == 0 {
			problem = "must not be an empty list"
		}
		if problem != "" {
			return problem
		}
	default: // any value will do
	}
	if v[0] != '[' && v[0] != '{' {
		return ""
	}
	if len(v) > l.ProfileValueBytes {
		return fmt.Sprintf("must not be larger than %d bytes", l.ProfileValueBytes)
	}
	if nesting(v) > deepest {
		return fmt.Sprintf("must not be nested more than %d deep", deepest)
	}
	return ""
}

// deepest bounds the nesting of a profile's value, for our own sake: the walk over
// JSON takes time in proportion to it. Mixpanel publishes no bound.
const deepest = 100

// apply changes p as the operation says, or leaves it as it is and says what is
// wrong. $delete is not applied to properties but to the profile.
func (l *Limits) apply(o operation, p *properties) (problem string) {
	if o.operator.creates() && p.with(o.operands) > l.ProfileProperties {
		return fmt.Sprintf("the profile would have more than %d properties", l.ProfileProperties)
	}
	if o.operator == opAppend || o.operator == opUnion {
		for _, e := range o.operands {
			if was, _ := p.get(e.name); was != nil && size(was)+size(e.value) > l.ProfileValueBytes {
				return fmt.Sprintf("the list %q would be larger than %d bytes", e.name, l.ProfileValueBytes)
			}
		}
	}
	for _, e := range o.operands {
		was, present := p.get(e.name)
		switch o.operator {
		case opSet:
			p.set(e.name, e.value)
		case opSetOnce:
			if !present { // null, [] and false count as present [assumed]
				p.set(e.name, e.value)
			}
		case opAdd:
			if n, ok := was.(float64); ok || !present {
				p.set(e.name, n+e.value.(float64))
			}
		case opAppend:
			if list, ok := was.([]any); ok || !present {
				p.set(e.name, append(list, e.value))
			}
		case opUnion:
			if list, ok := was.([]any); ok || !present {
				p.set(e.name, union(list, e.value.([]any)))
			}
		case opRemove:
			if list, ok := was.([]any); ok {
				p.set(e.name, slices.DeleteFunc(list, func(v any) bool { return equal(v, e.value) }))
			}
		case opUnset:
			p.unset(e.name)
		case opDelete:
		}
	}
	return ""
}

// union appends the elements of more that list does not have yet, in their order.
func union(list, more []any) []any {
	seen := make(map[any]bool, len(list)+len(more))
	for _, v := range list {
		switch v.(type) {
		case string, float64: // no other element can be in more
			seen[v] = true
		}
	}
	for _, v := range more {
		if !seen[v] {
			seen[v] = true
			list = append(list, v)
		}
	}
	return list
}
