package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// belongs says where a field that stands in the wrong place belongs, if that is clear: in a
// part of the one it stands in, or in one around it. at is the token of its name, root what
// the document is read into.
func (d *document) belongs(at *token.Token, root reflect.Type) string {
	within, found := fieldAt(d.file.Docs[0].Body, nil, place(at))
	if !found {
		return ""
	}
	var nearest [][]string
	least := 0
	for _, parent := range parentsOf(root, at.Value, nil) {
		distance := len(parent) - len(within)
		switch {
		case distance > 0 && slices.Equal(parent[:len(within)], within):
		case distance < 0 && slices.Equal(within[:len(parent)], parent):
			distance = -distance
		default:
			continue
		}
		if least == 0 || distance < least {
			nearest, least = nil, distance
		}
		if distance == least {
			nearest = append(nearest, parent)
		}
	}
	if len(nearest) != 1 {
		return ""
	}
	if parent := nearest[0]; len(parent) < len(within) {
		return "; it belongs beside " + within[len(parent)]
	}
	return "; it belongs under " + strings.Join(nearest[0][len(within):], ", there under ")
}

// fieldAt finds the fields around the one whose name stands at a place.
func fieldAt(node ast.Node, around []string, at token.Position) (within []string, found bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if within, found = fieldAt(v, around, at); found {
				return within, true
			}
		}
	case *ast.MappingValueNode:
		if t := n.Key.GetToken(); place(t) == at {
			return around, true
		}
		return fieldAt(n.Value, append(slices.Clip(around), n.Key.String()), at)
	case *ast.SequenceNode:
		for _, v := range n.Values {
			if within, found = fieldAt(v, around, at); found {
				return within, true
			}
		}
	case *ast.AnchorNode:
		return fieldAt(n.Value, around, at)
	}
	return nil, false
}

// parentsOf are the places in a type, as the fields on the way, where a field of that name is.
func parentsOf(t reflect.Type, name string, way []string) (parents [][]string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		field, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if field == "" || field == "-" {
			continue
		}
		if field == name {
			parents = append(parents, way)
		}
		parents = append(parents, parentsOf(f.Type, name, append(slices.Clip(way), field))...)
	}
	return parents
}
