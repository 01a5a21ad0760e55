package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document is a text of YAML, or of JSON, which is YAML too, that has been read and whose
// variables have been put in. Its errors name file and line, and quote nothing of the
// text but the names of fields: the rest may be secret.
type document struct {
	name string
	text string
	file *ast.File
	raw  map[token.Position]written // what holds variables, by its place
}

// written is a value before variables were put in.
type written struct {
	text     string
	variable string // the one that it is made of as a whole, if that is set
}

// read parses a text and puts the variables of the environment into its values.
func read(name string, text []byte, getenv func(string) (string, bool)) (*document, error) {
	d := &document{name: name, text: string(text), raw: make(map[token.Position]written)}
	var err error
	if d.file, err = parser.ParseBytes(text, 0); err != nil {
		return nil, d.explain(err)
	}
	if n := len(d.file.Docs); n > 1 {
		return nil, fmt.Errorf("%s: holds %d YAML documents; one is read", name, n)
	}
	e := expansion{document: d, getenv: getenv}
	for _, doc := range d.file.Docs {
		doc.Body = e.walk(doc.Body)
	}
	return d, errors.Join(e.faults...)
}

// decode reads the document into a value. Fields that it does not know are errors.
func (d *document) decode(into any) error {
	if len(d.file.Docs) == 0 || d.file.Docs[0].Body == nil {
		return nil
	}
	err := yaml.NodeToValue(d.file.Docs[0].Body, into, yaml.DisallowUnknownField())
	if err == nil {
		return nil
	}
	hint := ""
	if unknown, ok := errors.AsType[*yaml.UnknownFieldError](err); ok && unknown.Token != nil {
		hint = d.belongs(unknown.Token, reflect.TypeOf(into))
	}
	return fmt.Errorf("%w%s", d.explain(err), hint)
}

// line is the line of a field such as sources[0].name, or of the nearest part around
// it that is there; 0 if none is.
func (d *document) line(field string) int {
	for field != "" {
		if node := d.node(field); node != nil {
			return node.GetToken().Position.Line
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
	return 0
}

// node is the value of a field; nil: there is none.
func (d *document) node(field string) ast.Node {
	path, err := yaml.PathString("$." + field)
	if err != nil {
		return nil
	}
	node, err := path.FilterFile(d.file)
	if err != nil {
		return nil
	}
	return node
}

// variable is the one of the environment that a field is made of as a whole; "" if it is
// not, or the variable is not set.
func (d *document) variable(field string) string {
	node := d.node(field)
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return ""
	}
	return d.raw[place(node.GetToken())].variable
}

// place is the place of a token for looking it up.
func place(t *token.Token) token.Position {
	return token.Position{Line: t.Position.Line, Column: t.Position.Column}
}

// at is an error about a field of the document.
func (d *document) at(field string, err error) error {
	if n := d.line(field); n > 0 {
		return fmt.Errorf("%s:%d: %s: %w", d.name, n, field, err)
	}
	return fmt.Errorf("%s: %s: %w", d.name, field, err)
}

// explain words an error of the YAML package, whose own text shows neighbouring lines.
func (d *document) explain(err error) error {
	var y yaml.Error
	if !errors.As(err, &y) {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	message := y.GetMessage()
	if mismatch, ok := errors.AsType[*yaml.TypeError](err); ok {
		message = fmt.Sprintf("%s stands where %s belongs", kindOf(mismatch.SrcType), kindOf(mismatch.DstType))
	}
	if unexpected, ok := errors.AsType[*yaml.UnexpectedNodeTypeError](err); ok {
		message = fmt.Sprintf("%s stands where %s belongs", kindOfNode(unexpected.Actual), kindOfNode(unexpected.Expected))
	}
	if t := y.GetToken(); t != nil && t.Position != nil {
		return fmt.Errorf("%s:%d:%d: %s", d.name, t.Position.Line, t.Position.Column, message)
	}
	return fmt.Errorf("%s: %s", d.name, message)
}

// kindOf is a type as the writer of a file knows it.
func kindOf(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a set of fields"
	case reflect.Pointer:
		return kindOf(t.Elem())
	default:
		return "a number"
	}
}

func kindOfNode(t ast.NodeType) string {
	switch t {
	case ast.StringType, ast.LiteralType:
		return "a text"
	case ast.BoolType:
		return "true or false"
	case ast.SequenceType:
		return "a list"
	case ast.MappingType, ast.MappingValueType:
		return "a set of fields"
	case ast.NullType:
		return "nothing"
	default:
		return "a number"
	}
}

// expansion puts variables of the environment into the values of a document. It works
// on the parsed text, so that a variable can hold any character and changes one value only.
type expansion struct {
	*document
	getenv func(string) (string, bool)
	faults []error
}

// walk returns the node with the variables in it, and everything below it, put in.
func (e *expansion) walk(node ast.Node) ast.Node {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			e.walk(v)
		}
	case *ast.MappingValueNode:
		n.Value = e.walk(n.Value)
	case *ast.SequenceNode:
		for i, v := range n.Values {
			n.Values[i] = e.walk(v)
		}
	case *ast.AnchorNode:
		n.Value = e.walk(n.Value)
	case *ast.LiteralNode:
		n.Value.Value = e.expand(n.Value.Value, n.Value.Token)
	case *ast.StringNode:
		return e.text(n)
	case *ast.IntegerNode:
		return asWritten(n, n.Token)
	case *ast.FloatNode:
		return asWritten(n, n.Token)
	}
	return node
}

func (e *expansion) text(n *ast.StringNode) ast.Node {
	expanded := e.expand(n.Value, n.Token)
	if expanded != n.Value && n.Token.Type == token.StringType && (expanded == "true" || expanded == "false") {
		return ast.Bool(token.New(expanded, expanded, n.Token.Position))
	}
	n.Value = expanded
	return n
}

// asWritten keeps a number that is a text, such as the key 0042, from being read as octal.
func asWritten(number ast.Node, t *token.Token) ast.Node {
	if i, err := strconv.ParseInt(t.Value, 10, 64); err == nil && strconv.FormatInt(i, 10) == t.Value {
		return number
	}
	return ast.String(t)
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}`)

func (e *expansion) expand(text string, at *token.Token) string {
	if m := variable.FindStringSubmatch(text); m != nil {
		w := written{text: text}
		if value, ok := e.getenv(m[1]); m[0] == text && ok && value != "" {
			w.variable = m[1]
		}
		e.raw[place(at)] = w
	}
	return variable.ReplaceAllStringFunc(text, func(ref string) string {
		m := variable.FindStringSubmatch(ref)
		if value, ok := e.getenv(m[1]); ok && value != "" {
			return value
		}
		if m[2] != "" {
			return strings.TrimPrefix(m[2], ":-")
		}
		e.faults = append(e.faults, fmt.Errorf("%s:%d: the environment variable %s is not set; set it, or give a default: ${%s:-default}",
			e.name, at.Position.Line, m[1], m[1]))
		return ""
	})
}
