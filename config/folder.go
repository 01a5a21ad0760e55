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
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// LoadDefinitions reads a file, or all files of a folder and the folders in it that end in
// .yaml or .yml. Together they are one configuration: lists add up, and any other field
// stands in one of them. Where none names destinations, those given are the ones that
// connections may name, and that a computation without connections is told to. Those given may
// stand without a token: they keep their secrets.
func LoadDefinitions(path string, getenv func(string) (string, bool), destinations []string) (*Config, error) {
	documents, err := readAll(path, getenv)
	if err != nil {
		return nil, err
	}
	return merge(documents, destinations)
}

// NamesNoDatabase tells whether a file or folder, in which anything may be wrong, can be read
// as far as it takes to see that it does not say where the database is.
func NamesNoDatabase(path string) bool {
	documents, err := readAll(path, func(string) (string, bool) { return "set", true })
	return err == nil && !slices.ContainsFunc(documents, func(d *document) bool { return d.has("database") })
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
	origins := make(map[string]origin)
	c := &Config{said: make(map[string]bool), origins: origins, keep: destinations}
	into := reflect.ValueOf(c).Elem()
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
			c.said[name] = true
			if from.Field(i).Kind() == reflect.Slice {
				for n := range from.Field(i).Len() {
					origins[fmt.Sprintf("%s[%d]", name, into.Field(i).Len()+n)] = origin{d, fmt.Sprintf("%s[%d]", name, n)}
				}
				if _, seen := origins[name]; !seen {
					origins[name] = origin{d, name}
					into.Field(i).Set(from.Field(i)) // an empty list is not none
					continue
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
	if !c.Says("destinations") {
		c.known = destinations
	}
	c.fill()
	for _, f := range append(c.faults(), c.emptyKeys()...) {
		faults = append(faults, c.locate(f))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	c.findVariables()
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
func (c *Config) locate(f fault) error {
	own, rest := f.field, ""
	if m := element.FindString(f.field); m != "" && strings.HasPrefix(f.field, m) {
		own, rest = m, f.field[len(m):]
	} else if head, tail, found := strings.Cut(f.field, "."); found {
		own, rest = head, "."+tail
	}
	at, known := c.origins[own]
	if !known {
		return fmt.Errorf("%s: %w", f.field, f.err)
	}
	// What it says of other elements has to name their files.
	text := f.err.Error()
	worded := element.ReplaceAllStringFunc(text, func(ref string) string {
		if o, ok := c.origins[ref]; ok {
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

// emptyKeys are the write keys that stand in a file and are empty, as that of a variable
// with an empty default is. To keep the key of a source, the field is left out.
func (c *Config) emptyKeys() faults {
	var f faults
	for i, s := range c.Sources {
		at, known := c.origins[fmt.Sprintf("sources[%d]", i)]
		if s.WriteKey == "" && known && at.node(at.field+".write_key") != nil {
			f.add(fmt.Sprintf("sources[%d].write_key", i), "is empty; leave the field out to keep the key that the source has")
		}
	}
	return f
}

// findVariables notes which secrets of destinations come from the environment as a whole.
func (c *Config) findVariables() {
	c.variables = make(map[string]string)
	for i := range c.Destinations {
		at := c.origins[fmt.Sprintf("destinations[%d]", i)]
		for setting := range secretSettings {
			if name := at.variable(at.field + ".settings." + setting); name != "" {
				c.variables[fmt.Sprintf("destinations[%d].settings.%s", i, setting)] = name
			}
		}
	}
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
