// Package served runs the product as its users do: the built binary, as a process that
// can be told to stop, be killed, and be started again on what it left behind. It knows
// nothing of the product but its command line, its configuration file and its log.
package served
