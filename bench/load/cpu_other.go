//go:build !linux

package main

// processorTime is known on Linux only.
func processorTime(int) (usage, bool) { return usage{}, false }
