// Command muster computes audiences and traits from Segment calls and tells Mixpanel
// about every change. See docs/ for the manual, or run: muster help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(mainExit()) }

func mainExit() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal stops at once: the first one gives the default handling back.
	context.AfterFunc(ctx, stop)
	env := &environment{in: os.Stdin, out: os.Stdout, err: os.Stderr, lookup: os.LookupEnv, now: time.Now}
	return run(ctx, env, os.Args[1:])
}
