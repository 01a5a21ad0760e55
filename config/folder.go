package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"muster/query"
)

// LoadDefinitions reads a file, or all files of a folder and the folders in it that end in
// .yaml or .yml. Together they are one configuration: lists add up, and any other field
// stands in one of them. Where none names destinations, those given are the ones that
// connections may name, and that a computation without connections is told to; nothing is
// known of their settings.
func LoadDefinitions(path string, getenv func(string) (string, bool), destinations []string) (*Config, error) {
	documents, err := readAll(path, getenv)
	if err != nil {
		return nil, err
	}
	return merge(documents, destinations)
}

// ParseDefinitions is LoadDefinitions for the text of one file; name is for messages. It knows no variables.
func ParseDefinitions(name string, text []byte, destinations []string) (*Config, error) {
	d, err := read(name, text, func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, err
	}
	return merge([]*document{d}, destinations)
}

// isFolder tells whether the path is that of a folder.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readAll reads the files of a configuration, in the order of their names.
func readAll(path string, getenv func(string) (string, bool)) ([]*document, error) {
	names := []string{path}
	if isFolder(path) {
		names = nil
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			hidden := len(entry.Name()) > 1 && strings.HasPrefix(entry.Name(), ".")
			switch {
			case err != nil:
				return err
			case hidden && entry.IsDir() && name != path:
				return fs.SkipDir
			case !hidden && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(name)):
				names = append(names, name)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("read the configuration: %s holds no file that ends in .yaml or .yml", path)
		}
	}
	var documents []*document
	var faults []error
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		d, err := read(name, text, getenv)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		documents = append(documents, d)
	}
	return documents, errors.Join(faults...)
}

// origin is where a part of a merged configuration stands.
type origin struct {
	*document
	field string
}

// merge makes one configuration of several files.
func merge(documents []*document, destinations []string) (*Config, error) {
	c := &Config{}
	into := reflect.ValueOf(c).Elem()
	origins := make(map[string]origin) // by field; elements of lists by theirs, such as audiences[3]
	var faults []error
	for _, d := range documents {
		part := &Config{}
		if err := d.decode(part); err != nil {
			faults = append(faults, err)
			continue
		}
		from := reflect.ValueOf(part).Elem()
		for i := range from.NumField() {
			name := from.Type().Field(i).Tag.Get("yaml")
			if name == "" || !d.has(name) {
				continue
			}
			if from.Field(i).Kind() == reflect.Slice {
				for n := range from.Field(i).Len() {
					origins[fmt.Sprintf("%s[%d]", name, into.Field(i).Len()+n)] = origin{d, fmt.Sprintf("%s[%d]", name, n)}
				}
				into.Field(i).Set(reflect.AppendSlice(into.Field(i), from.Field(i)))
				continue
			}
			if other, twice := origins[name]; twice {
				faults = append(faults, d.at(name, fmt.Errorf("it stands in %s too, and can stand in one file only", other.name)))
			}
			origins[name] = origin{d, name}
			into.Field(i).Set(from.Field(i))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if !slices.ContainsFunc(documents, func(d *document) bool { return d.has("destinations") }) {
		c.known = destinations
	}
	c.fill()
	for _, f := range c.faults() {
		faults = append(faults, locate(origins, f))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	c.places = make(map[string]Place)
	for name, list := range map[string][]Computation{"audiences": c.Audiences, "traits": c.Traits} {
		for i, comp := range list {
			c.places[comp.Key] = origins[fmt.Sprintf("%s[%d]", name, i)].place()
		}
	}
	return c, nil
}

var element = regexp.MustCompile(`(sources|destinations|audiences|traits)\[\d+\]`)

// locate words a fault of a merged configuration by the file that it is in.
func locate(origins map[string]origin, f fault) error {
	own, rest := f.field, ""
	if m := element.FindString(f.field); m != "" && strings.HasPrefix(f.field, m) {
		own, rest = m, f.field[len(m):]
	} else if head, tail, found := strings.Cut(f.field, "."); found {
		own, rest = head, "."+tail
	}
	at, known := origins[own]
	if !known {
		return fmt.Errorf("%s: %w", f.field, f.err)
	}
	// What it says of other elements has to name their files.
	text := f.err.Error()
	worded := element.ReplaceAllStringFunc(text, func(ref string) string {
		if o, ok := origins[ref]; ok {
			if o.document == at.document {
				return o.field
			}
			return o.field + " of " + o.name
		}
		return ref
	})
	if worded != text {
		return at.at(at.field+rest, errors.New(worded))
	}
	return at.at(at.field+rest, f.err)
}

// has tells whether a field stands at the top of the document.
func (d *document) has(field string) bool {
	if len(d.file.Docs) == 0 {
		return false
	}
	var values []*ast.MappingValueNode
	switch n := d.file.Docs[0].Body.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	}
	return slices.ContainsFunc(values, func(v *ast.MappingValueNode) bool { return v.Key.GetToken().Value == field })
}

// Place is where the query of a computation stands in a file.
type Place struct {
	File   string
	line   int // of the query's first line; 0: not known
	column int // of its first character, if all of it is on that line; else 0
}

// place is that of the query of an element.
func (o origin) place() Place {
	p := Place{File: o.name}
	path, err := yaml.PathString("$." + o.field + ".query")
	if err != nil {
		return p
	}
	node, err := path.FilterFile(o.file)
	if err != nil || node == nil {
		return p
	}
	switch n := node.(type) {
	case *ast.LiteralNode:
		p.line = n.Start.Position.Line + 1
	case *ast.StringNode:
		p.line, p.column = n.Token.Position.Line, n.Token.Position.Column
		if n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType {
			p.column++
		}
	default:
		p.line = node.GetToken().Position.Line
	}
	return p
}

// Place is where the query of the computation with this key stands; of a configuration
// that LoadDefinitions has read.
func (c *Config) Place(key string) Place { return c.places[key] }

// Render is what is wrong with the query, with file, line and a caret.
func (p Place) Render(key string, found query.Diagnostics) string {
	var b strings.Builder
	for _, d := range found {
		b.WriteString(p.File)
		if p.line > 0 {
			b.WriteString(":" + strconv.Itoa(p.line+d.Line-1))
			if p.column > 0 && d.Line == 1 {
				b.WriteString(":" + strconv.Itoa(p.column+d.Column-1))
			}
		}
		// What follows the place in a text of its own: message, line and caret.
		shown := query.Diagnostics{d}.Render()
		if _, rest, ok := strings.Cut(shown, ": "); ok {
			shown = rest
		}
		fmt.Fprintf(&b, ": %s: %s", key, shown)
	}
	return b.String()
}
