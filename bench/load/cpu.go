package main

import "time"

// usage is processor time by who used it.
type usage struct{ Generator, Muster, PostgreSQL time.Duration }

// since is what was used after an earlier reading.
func (u usage) since(before usage) usage {
	return usage{u.Generator - before.Generator, u.Muster - before.Muster, u.PostgreSQL - before.PostgreSQL}
}
