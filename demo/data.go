// Package demo holds a real shop's log, with which Muster shows what it does.
package demo

import _ "embed"

// Log is the Online Retail data set as Segment calls, newline-delimited JSON in gzip:
// 22,064 orders and 3,836 refunds of a web shop, 1 December 2010 to 9 December 2011.
//
//go:embed online-retail.ndjson.gz
var Log []byte

// Attribution is what the licence of the log asks to be shown.
const Attribution = "Online Retail by Daqing Chen (2015), UCI Machine Learning Repository, https://doi.org/10.24432/C5BW33, licensed under CC BY 4.0; rewritten as Segment calls."
