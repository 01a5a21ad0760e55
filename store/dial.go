package store

import (
	"net"
	"time"
)

// How soon a server is given up that has vanished without a word, as one does whose machine
// or network is lost: without this a transaction would wait a quarter of an hour for it.
const (
	silence     = 10 * time.Second // after which it is asked whether it is there
	askAgain    = 5 * time.Second
	unanswered  = 3
	undelivered = silence + unanswered*askAgain // how long what was sent may go unacknowledged
)

// dialer connects to the database. A server that is alive but slow is waited for: its machine
// answers the questions for it.
var dialer = &net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence, Interval: askAgain, Count: unanswered},
	Control:         boundDelivery,
}
