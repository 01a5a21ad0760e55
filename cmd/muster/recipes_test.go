package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"muster/query"
)

// Each recipe of the manual is one that the scenarios beside it try, and the other way round.
// TestManual plays these.
func TestRecipesAreTried(t *testing.T) {
	canonical := func(text string) string {
		t.Helper()
		for _, purpose := range []query.Purpose{query.Audience, query.Trait} {
			if d, _ := query.Compile(text, query.CheckOptions{Purpose: purpose}); d != nil {
				return d.Text()
			}
		}
		t.Fatalf("it does not compile: %s", text)
		return ""
	}
	page, err := os.ReadFile("../../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	var recipes []string
	for _, f := range fences(string(page)) {
		if f.language == "query" {
			recipes = append(recipes, canonical(f.text))
		}
	}
	text, err := os.ReadFile("../../docs/recipes.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Scenarios []struct {
			ID          string
			Definitions []struct{ Query string }
			Steps       []struct {
				Expect struct{ Members, Traits any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var tried []string
	for _, s := range file.Scenarios {
		for _, d := range s.Definitions {
			tried = append(tried, canonical(d.Query))
		}
		if e := s.Steps[len(s.Steps)-1].Expect; e.Members == nil && e.Traits == nil {
			t.Errorf("%s expects nothing", s.ID)
		}
	}
	for _, r := range recipes {
		if !slices.Contains(tried, r) {
			t.Errorf("nobody tries %s", r)
		}
	}
	for _, r := range tried {
		if !slices.Contains(recipes, r) {
			t.Errorf("the page does not have %s", r)
		}
	}
	if len(recipes) < 20 || strings.Count(string(text), "\n- id: ") != len(recipes) {
		t.Errorf("%d recipes", len(recipes))
	}
}
