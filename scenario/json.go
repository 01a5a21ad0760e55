package scenario

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxDepth is how deep values may be nested; calls allow less.
const maxDepth = 200

// appendJSON appends the value of a node as JSON. Numbers keep the digits that they are
// written with.
func (r *reader) appendJSON(dst []byte, n ast.Node, depth int) []byte {
	if depth > maxDepth {
		if r.left >= 0 { // once is enough
			r.faultf(n, "", "the value is nested too deeply")
			r.left = -1
		}
		return append(dst, "null"...)
	}
	switch x := r.plain(n).(type) {
	case nil:
		return append(dst, "null"...)
	case *ast.SequenceNode:
		dst = append(dst, '[')
		for i, e := range x.Values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.appendJSON(dst, e, depth+1)
		}
		return append(dst, ']')
	case ast.MapNode:
		members, _ := r.members(n, "a value")
		return r.appendObject(dst, members, depth)
	default:
		return r.appendScalar(dst, x)
	}
}

func (r *reader) appendObject(dst []byte, members []member, depth int) []byte {
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, m.name), ':')
		dst = r.appendJSON(dst, m.value, depth+1)
	}
	return append(dst, '}')
}

func (r *reader) appendScalar(dst []byte, n ast.Node) []byte {
	switch x := n.(type) {
	case *ast.BoolNode:
		return strconv.AppendBool(dst, x.Value)
	case *ast.IntegerNode:
		if isNumber(x.Token.Value) {
			return append(dst, x.Token.Value...)
		}
		return fmt.Append(dst, x.Value) // 0x1F, 1_000, +5
	case *ast.FloatNode:
		if isNumber(x.Token.Value) {
			return append(dst, x.Token.Value...)
		}
		return strconv.AppendFloat(dst, x.Value, 'g', -1, 64)
	case *ast.StringNode:
		// Plain numbers with an exponent, or beyond 64 bits, come as text.
		if x.Token.Type == token.StringType && isNumber(x.Value) {
			return append(dst, x.Value...)
		}
		return appendQuoted(dst, x.Value)
	case *ast.LiteralNode:
		return appendQuoted(dst, x.Value.Value)
	case *ast.InfinityNode, *ast.NanNode:
		r.faultf(n, "quote it if it is a text", "JSON has no such number")
	default:
		r.faultf(n, "", "this is not a value")
	}
	return append(dst, "null"...)
}

func isNumber(text string) bool {
	v := jsontext.Value(text)
	return text != "" && v.Kind() == '0' && v.IsValid()
}

func appendQuoted(dst []byte, s string) []byte {
	// The only error is invalid UTF-8, which AppendQuote has then already replaced.
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
