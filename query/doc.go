// Package query is Muster's definition language: the text that says who belongs
// to an audience, or what a computed trait is worth.
//
// [Compile] turns a text into a [Definition] or into [Diagnostics] that say what
// is wrong, where, and how to mend it. A Definition prints itself in one
// canonical form, knows what it reads and whether the clock alone can change it,
// and evaluates itself over a profile at an instant. [Definition.Eval] is the
// reference: plain, slow and obviously right. Everything faster must agree with it.
//
// The package decides and computes. It knows nothing of storage, identities,
// schedules or clocks: every instant is a parameter.
package query
