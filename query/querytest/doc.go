// Package querytest draws random definitions and random histories for property
// tests. Its vocabulary is small, so that definitions and histories meet: windows
// have edges where events lie, values equal constants, and every construct of the
// language comes up.
package querytest
