// Package engine is the domain: what a computation is, how its leaves are folded
// from events, how a profile's values are decided, what the difference to the
// ledger is, and in which transaction each of these happens. It knows no SQL, no
// HTTP, no cron, no Mixpanel and no clock: storage is the Repository it declares,
// and every instant is a parameter.
package engine
