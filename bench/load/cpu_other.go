//go:build !linux

package main

// processorTime is known on Linux only.
func processorTime(int) (usage, bool) { return usage{}, false }

// memory is known on Linux only.
func memory(int) float64 { return 0 }
