package api_test

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"muster/api"
)

// object is an object of a JSON or YAML document.
type object = map[string]any

// described is openapi.yaml.
var described = func() object {
	var doc object
	if err := yaml.Unmarshal(api.Description, &doc); err != nil {
		panic(err)
	}
	return doc
}()

// in follows a path of keys into a document; nil: there is nothing.
func in(v any, path ...string) any {
	for _, key := range path {
		o, _ := v.(object)
		v = o[key]
	}
	return v
}

// resolved is what a value stands for, should it be a reference.
func resolved(v any) object {
	for {
		ref, is := in(v, "$ref").(string)
		if !is {
			o, _ := v.(object)
			return o
		}
		v = in(described, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		if v == nil {
			panic("openapi.yaml refers to " + ref + ", which it does not hold")
		}
	}
}

// Every route that is served is described, and every one described is served, with the
// same parameters, the same scope and the right kind of token.
func TestDescriptionIsOfTheRoutesServed(t *testing.T) {
	w := newWorld(t)
	served := make(map[string]bool)
	for _, rt := range w.api.Routes() {
		name := rt.Method + " " + rt.Path
		served[name] = true
		op := in(described, "paths", rt.Path, strings.ToLower(rt.Method))
		if op == nil {
			t.Errorf("%s is served, and not described", name)
			continue
		}
		if writes := in(op, "x-scope") == "write"; writes != rt.Write {
			t.Errorf("%s: described as writing: %t, served as writing: %t", name, writes, rt.Write)
		}
		if basic := in(op, "security") != nil; basic != rt.Profile {
			t.Errorf("%s: described with Basic authentication: %t, served with it: %t", name, basic, rt.Profile)
		}
		var params, inPath []string
		own, _ := in(op, "parameters").([]any)
		shared, _ := in(described, "paths", rt.Path, "parameters").([]any)
		for _, p := range append(slices.Clone(own), shared...) {
			p := resolved(p)
			if p["in"] == "path" {
				inPath = append(inPath, "{"+p["name"].(string)+"}")
			} else {
				params = append(params, p["name"].(string))
			}
		}
		if want := slices.Sorted(slices.Values(rt.Params)); !slices.Equal(slices.Sorted(slices.Values(params)), want) {
			t.Errorf("%s: parameters are described as %v, and served as %v", name, params, want)
		}
		for part := range strings.SplitSeq(rt.Path, "/") {
			if strings.HasPrefix(part, "{") && !slices.Contains(inPath, part) {
				t.Errorf("%s: %s of the path is not described", name, part)
			}
		}
	}
	for path, item := range in(described, "paths").(object) {
		for method := range item.(object) {
			if name := strings.ToUpper(method) + " " + path; method != "parameters" && !served[name] {
				t.Errorf("%s is described, and not served", name)
			}
		}
	}
}

func TestDescriptionIsServed(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/openapi.yaml", "/openapi.json"} {
		a := w.send(t, http.MethodGet, path, "", nil)
		var doc object
		if err := yaml.Unmarshal([]byte(a.text), &doc); err != nil || a.status != http.StatusOK || in(doc, "openapi") != "3.1.0" ||
			len(in(doc, "paths").(object)) != len(in(described, "paths").(object)) {
			t.Errorf("%s answers %d: %v %.200s", path, a.status, err, a.text)
		}
	}
}

// fits holds a value against a schema. It knows what openapi.yaml uses of the language of
// schemas, and no more: any other keyword is an error. What is answered without being
// described is one, too.
func fits(at string, v any, schema any) (faults []string) {
	s := resolved(schema)
	fault := func(format string, args ...any) { faults = append(faults, at+": "+fmt.Sprintf(format, args...)) }
	for keyword := range s {
		switch keyword {
		case "type", "enum", "properties", "required", "items", "additionalProperties", "format", "minItems", "maxItems",
			"description", "default", "minimum", "maximum":
		default:
			fault("the test does not know the keyword %s", keyword)
		}
	}
	if types := s["type"]; types != nil {
		list, several := types.([]any)
		if !several {
			list = []any{types}
		}
		if !slices.ContainsFunc(list, func(t any) bool { return isOf(v, t.(string)) }) {
			fault("%v is no %v", v, types)
			return faults
		}
	}
	if enum, ok := s["enum"].([]any); ok && v != nil && !slices.Contains(enum, v) {
		fault("%v is none of %v", v, enum)
	}
	switch v := v.(type) {
	case string:
		if _, err := time.Parse(time.RFC3339Nano, v); s["format"] == "date-time" && err != nil {
			fault("%q is no instant", v)
		}
	case []any:
		for i, e := range v {
			faults = append(faults, fits(fmt.Sprintf("%s[%d]", at, i), e, s["items"])...)
		}
	case object:
		required, _ := s["required"].([]any)
		for _, name := range required {
			if _, there := v[name.(string)]; !there {
				fault("%s is missing", name)
			}
		}
		if s["type"] == nil {
			return faults
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			property := in(s["properties"], name)
			switch other := s["additionalProperties"].(type) {
			case nil:
				if property == nil {
					fault("%s is not described", name)
				}
			case object:
				property = other
			}
			if property != nil {
				faults = append(faults, fits(at+"."+name, v[name], property)...)
			}
		}
	}
	return faults
}

func isOf(v any, typ string) bool {
	switch v := v.(type) {
	case nil:
		return typ == "null"
	case bool:
		return typ == "boolean"
	case string:
		return typ == "string"
	case float64:
		return typ == "number" || typ == "integer" && v == math.Trunc(v)
	case []any:
		return typ == "array"
	case object:
		return typ == "object"
	}
	return false
}

// The check of answers itself finds what it is to find.
func TestFits(t *testing.T) {
	schema := object{"type": "object", "required": []any{"a"}, "properties": object{
		"a": object{"type": "integer"}, "b": object{"type": []any{"string", "null"}, "format": "date-time"}, "c": object{"type": "array", "items": object{"enum": []any{"x"}}},
	}}
	for _, c := range []struct {
		value object
		want  string
	}{
		{object{"a": 1.0, "b": nil, "c": []any{"x"}}, ""},
		{object{"b": "2026-05-01T00:00:00Z"}, "v: a is missing"},
		{object{"a": 1.5}, "v.a: 1.5 is no integer"},
		{object{"a": 1.0, "b": "today"}, `v.b: "today" is no instant`},
		{object{"a": 1.0, "c": []any{"x", "y"}}, "v.c[1]: y is none of [x]"},
		{object{"a": 1.0, "d": 1.0}, "v: d is not described"},
	} {
		if got := strings.Join(fits("v", c.value, schema), "; "); got != c.want {
			t.Errorf("%v: %q, want %q", c.value, got, c.want)
		}
	}
}
