package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// licenceOf recognises a licence by sentences that are only in it.
func licenceOf(text string) string {
	words := strings.Join(strings.Fields(text), " ") // line breaks differ
	has := func(sentence string) bool { return strings.Contains(words, sentence) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0"
	case has("Mozilla Public License"):
		return "MPL-2.0"
	case has("GNU AFFERO GENERAL PUBLIC LICENSE"), has("GNU GENERAL PUBLIC LICENSE"), has("GNU LESSER GENERAL PUBLIC LICENSE"):
		return "GPL"
	case has("Permission is hereby granted, free of charge, to any person obtaining a copy"):
		return "MIT"
	case has("Permission to use, copy, modify, and/or distribute this software for any purpose"),
		has("Permission to use, copy, modify, and distribute this software for any purpose"):
		return "ISC"
	case has("Redistribution and use in source and binary forms"):
		if has("Neither the name") || has("may not be used to endorse") {
			return "BSD-3-Clause"
		}
		return "BSD-2-Clause"
	}
	return "unknown"
}

// What is linked into the product may be given away with it.
func TestLinkedModulesHaveFreeLicences(t *testing.T) {
	var products []string
	for _, p := range goList(t, "./...") {
		if pkg, ok := local(p.ImportPath); ok && row(pkg) >= 0 && !matches("tests/...", pkg) { // helpers and tests may link more
			products = append(products, p.ImportPath)
		}
	}
	seen := map[string]bool{module: true}
	for _, p := range goList(t, append([]string{"-deps"}, products...)...) {
		if p.Module == nil || seen[p.Module.Path] {
			continue
		}
		seen[p.Module.Path] = true
		found, err := filepath.Glob(filepath.Join(p.Module.Dir, "LICEN[SC]E*"))
		if err != nil || len(found) == 0 {
			t.Errorf("%s has no LICENSE file (%v)", p.Module.Path, err)
			continue
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			t.Error(err)
			continue
		}
		if licence := licenceOf(string(text)); !slices.Contains(licences, licence) {
			t.Errorf("%s is under licence %s; allowed are %v", p.Module.Path, licence, licences)
		}
	}
	if len(seen) < 5 {
		t.Errorf("only %d modules were looked at", len(seen))
	}
}
