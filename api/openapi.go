package api

import (
	_ "embed"
	"net/http"

	"github.com/goccy/go-yaml"
)

// description is both APIs as OpenAPI 3.1.
//
//go:embed openapi.yaml
var description []byte

// Where the description is served, to everybody.
const (
	descriptionYAML = "/openapi.yaml"
	descriptionJSON = "/openapi.json"
)

// describe serves the description.
func (a *API) describe() {
	text := func(typ string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typ)
			_, _ = w.Write(body)
		}
	}
	asJSON, err := yaml.YAMLToJSON(description)
	if err != nil {
		panic("api: openapi.yaml is no YAML: " + err.Error()) // it is compiled in
	}
	a.mux.HandleFunc("GET "+descriptionYAML, text("application/yaml", description))
	a.mux.HandleFunc("GET "+descriptionJSON, text("application/json", asJSON))
}
