package main
import ("context";"flag")
func none(*flag.FlagSet) func(context.Context, *bench) error { return nil }
var importFlags, hourlyFlags, constantFlags, backfillFlags, mergeFlags, storageFlags, idleFlags = none,none,none,none,none,none,none
