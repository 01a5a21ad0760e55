// Package query is Muster's definition language: the text that says who belongs
// to an audience, or what a computed trait is worth.
//
// [Compile] turns a text into a [Definition] or into [Diagnostics] that say what
// is wrong, where, and how to mend it. A Definition prints itself in one
// canonical form, knows what it reads and whether the clock alone can change it,
// and evaluates itself over a profile at an instant. [Definition.Eval] is the
// reference: plain, slow and obviously right. Everything faster must agree with it.
//
// # Choices
//
// Where the language leaves room, this is what holds:
//
//   - Sums are exact. Averages are rounded to 15 significant digits, half away from
//     zero, before anything is compared with them: what is shown is what counts.
//   - Equality is between numbers if either side is a JSON number or a numeric
//     literal, else between instants if the right is a bare date or time, else
//     between texts. '2' and '2.0' are different texts.
//   - omits is exactly NOT contains, under "$" too. Every other comparison under "$"
//     asks whether some element satisfies it.
//   - Of several values of one event under "$", first takes the first, last the last.
//   - A unique list keeps its alphabetically first 10,000 values.
//   - Filters between two sessions commute, so they are printed in one order, and
//     windows are intersected. The order of conditions stays as it was written.
//   - The limits of length and depth hold for the canonical text too.
//   - At the level of accounts every definition is scheduled.
//
// The package decides and computes. It knows nothing of storage, identities,
// schedules or clocks: every instant is a parameter.
package query
