package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// reader walks over the YAML of a file and collects the faults that it finds on the
// way. Its methods answer false, or a zero value, after they have noted a fault.
type reader struct {
	file    string
	lines   []string
	faults  Faults
	targets map[*ast.AliasNode]ast.Node
	left    int // nodes that may still be read; bounds what aliases can expand to
	merging int // mappings that are being merged into each other
}

const (
	maxNodes = 2_000_000
	maxHops  = 100 // from alias to alias
)

// parseYAML reads the text as one YAML document; nil after a fault.
func (r *reader) parseYAML(src []byte) ast.Node {
	r.lines = strings.Split(string(src), "\n")
	r.left = maxNodes
	doc, err := parser.ParseBytes(src, 0)
	if bad := yaml.Error(nil); errors.As(err, &bad) && bad.GetToken() != nil {
		at := bad.GetToken().Position
		r.add(at.Line, at.Column, "", "%s", firstLine(bad.GetMessage()))
		return nil
	} else if err != nil {
		r.add(1, 1, "", "this is not YAML: %s", firstLine(err.Error()))
		return nil
	}
	docs := slices.DeleteFunc(doc.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	switch len(docs) {
	case 0:
		r.add(1, 1, "", "the file is empty")
		return nil
	case 1:
	default:
		r.faultf(docs[1].Body, "put them into two files", "a file holds one YAML document, this one has %d", len(docs))
		return nil
	}
	r.targets = make(map[*ast.AliasNode]ast.Node)
	ast.Walk(&aliases{seen: map[string]ast.Node{}, targets: r.targets}, docs[0].Body)
	return docs[0].Body
}

// aliases finds what each alias stands for: the last anchor of its name before it.
type aliases struct {
	seen    map[string]ast.Node
	targets map[*ast.AliasNode]ast.Node
}

// Visit implements ast.Visitor.
func (a *aliases) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AnchorNode:
		if n.Name != nil {
			a.seen[n.Name.GetToken().Value] = n.Value
		}
	case *ast.AliasNode:
		if n.Value != nil {
			a.targets[n] = a.seen[n.Value.GetToken().Value]
		}
	}
	return a
}

// add notes a fault at a place.
func (r *reader) add(line, column int, hint, format string, args ...any) {
	f := &Fault{File: r.file, Line: max(line, 1), Column: max(column, 1), Message: fmt.Sprintf(format, args...), Hint: hint}
	if f.Line <= len(r.lines) {
		f.Text = r.lines[f.Line-1]
	}
	r.faults = append(r.faults, f)
}

// faultf notes a fault at a node.
func (r *reader) faultf(at ast.Node, hint, format string, args ...any) {
	line, column := place(at)
	r.add(line, column, hint, format, args...)
}

// place is where a node begins.
func place(n ast.Node) (line, column int) {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // a block has no token of its own, it has that of its first colon
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1, 1
	}
	p := n.GetToken().Position
	return p.Line, p.Column
}

// plain is the node behind anchors and aliases; nil for nothing, null, and after a fault.
func (r *reader) plain(n ast.Node) ast.Node {
	for range maxHops {
		if r.left--; r.left < 0 {
			if r.left == -1 {
				r.faultf(n, "", "the file is too large, with all aliases expanded")
			}
			return nil
		}
		switch x := n.(type) {
		case nil, *ast.NullNode:
			return nil
		case *ast.AnchorNode:
			n = x.Value
		case *ast.AliasNode:
			target := r.targets[x]
			if target == nil {
				r.faultf(n, "", "no anchor of this name comes before this alias")
				return nil
			}
			n = target
		case *ast.TagNode:
			r.faultf(n, "quote a value to make it text", "tags are not used here")
			return nil
		default:
			return n
		}
	}
	r.faultf(n, "", "this alias stands for itself")
	return nil
}

// member is one line of a mapping.
type member struct {
	name  string
	key   ast.Node
	value ast.Node
}

// members are the lines of a mapping, in their order, those merged with << at the end
// unless they are overridden; false if it is no mapping.
func (r *reader) members(n ast.Node, what string) ([]member, bool) {
	m := r.plain(n)
	if m == nil {
		return nil, true
	}
	mapping, ok := m.(ast.MapNode)
	if !ok {
		r.faultf(n, "", "%s must be a mapping, lines of the form name: value", what)
		return nil, false
	}
	var all []member
	var merged []ast.Node
	named := map[string]bool{}
	for it := mapping.MapRange(); it.Next(); {
		if it.Key().IsMergeKey() {
			merged = append(merged, it.Value())
			continue
		}
		name, ok := scalarText(it.Key())
		if !ok {
			r.faultf(it.Key(), "", "a name must be a plain text")
			continue
		}
		named[name] = true
		all = append(all, member{name, it.Key(), it.Value()})
	}
	if len(merged) == 0 {
		return all, true
	}
	if r.merging > maxHops {
		r.faultf(merged[0], "", "this mapping is merged into itself")
		r.left = 0 // nothing more can be made of the file
		return nil, false
	}
	r.merging++
	defer func() { r.merging-- }()
	for _, n := range merged {
		parts := []ast.Node{n}
		if list, ok := r.plain(n).(*ast.SequenceNode); ok {
			parts = list.Values
		}
		for _, part := range parts {
			if r.left <= 0 {
				return nil, false
			}
			more, _ := r.members(part, "what << merges in")
			for _, m := range more {
				if !named[m.name] {
					named[m.name] = true
					all = append(all, m)
				}
			}
		}
	}
	return all, true
}

// fields reads a mapping of known names. An unknown name is a fault.
func (r *reader) fields(n ast.Node, what string, known map[string]func(ast.Node)) {
	members, _ := r.members(n, what)
	for _, m := range members {
		read, ok := known[m.name]
		if !ok {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			r.faultf(m.key, what+" has "+strings.Join(names, ", "), "%s has no %q", what, m.name)
			continue
		}
		read(m.value)
	}
}

// list is the elements of a sequence, none for null. Anything else is a fault.
func (r *reader) list(n ast.Node, what string) []ast.Node {
	switch seq := r.plain(n).(type) {
	case nil:
		return nil
	case *ast.SequenceNode:
		return seq.Values
	}
	r.faultf(n, "write [one, two], or each behind a dash", "%s must be a list", what)
	return nil
}

// isList and isMapping look at a node's form.
func (r *reader) isList(n ast.Node) bool    { _, ok := r.plain(n).(*ast.SequenceNode); return ok }
func (r *reader) isMapping(n ast.Node) bool { _, ok := r.plain(n).(ast.MapNode); return ok }

// text is a scalar as it is written.
func (r *reader) text(n ast.Node, what string) (string, bool) {
	if text, ok := scalarText(r.plain(n)); ok {
		return text, true
	}
	r.faultf(n, "", "%s must be a text", what)
	return "", false
}

// set returns a field that reads a text into a string.
func (r *reader) set(into *string, what string) func(ast.Node) {
	return func(n ast.Node) { *into, _ = r.text(n, what) }
}

// words is a text, or a list of texts.
func (r *reader) words(n ast.Node, what string) []string {
	elements := []ast.Node{n}
	if r.isList(n) {
		elements = r.list(n, what)
	}
	var words []string
	for _, e := range elements {
		if word, ok := r.text(e, what); ok {
			words = append(words, word)
		}
	}
	return words
}

// flag is true or false.
func (r *reader) flag(n ast.Node, what string) bool {
	b, ok := r.plain(n).(*ast.BoolNode)
	if !ok {
		r.faultf(n, "", "%s must be true or false", what)
		return false
	}
	return b.Value
}

// scalarText is the text of a scalar as it is written; false for nil and everything else.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}
