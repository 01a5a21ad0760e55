// Package identity decides whose call it is. It finds the external ids in a call,
// and, given the profiles that own them, which profile the call belongs to, which
// profiles it joins, and which of its ids have to be left out so that no profile
// ever holds more than its limits allow.
//
// Everything here is a function of its arguments: the package knows no storage and
// no clock. A store that has a batch of calls
//
//  1. extracts the [Evidence] of each call with [Rules.Extract],
//  2. loads the owners of all ids of all [Evidence.Lookup] and puts them into a [Graph],
//  3. runs the calls through [Graph.Resolve], in order,
//  4. writes what [Graph.Diff] says.
//
// The package also says which profiles a computation may tell about ([Eligible]) and
// under which ids a destination hears it ([FanOut]).
package identity
