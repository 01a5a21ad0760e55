package main
import ("context";"flag")
func none(*flag.FlagSet) func(context.Context, *bench) error { return nil }
var importFlags, backfillFlags, mergeFlags, storageFlags, idleFlags = none,none,none,none,none
