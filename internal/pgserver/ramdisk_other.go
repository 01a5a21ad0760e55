//go:build unix && !linux

package pgserver

// ramDisk finds none: only Linux has one ready for everybody.
func ramDisk() string { return "" }
