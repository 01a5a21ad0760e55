package ingest

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newOutage is an outage with its log.
func newOutage() (*outage, *bytes.Buffer) {
	var log bytes.Buffer
	to := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return &outage{fails: func(more ...any) { to.Error("out", more...) }, over: func(more ...any) { to.Info("back", more...) }}, &log
}

// A trouble is logged when it begins, then in sums, and when it is over.
func TestOutageIsLoggedInSums(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, log := newOutage()
		o.worked()
		for range 1000 {
			o.failed(errors.New("gone"), "calls", 3)
			time.Sleep(11 * time.Millisecond)
		}
		o.worked()
		o.worked()
		time.Sleep(time.Minute)
		o.failed(errors.New("again"))
		time.Sleep(time.Minute)
		o.failed(errors.New("still"))
		synctest.Wait()
		want := []string{
			`level=ERROR msg=out calls=3 error=gone`,
			`level=ERROR msg=out calls=3 error=gone times=454`,
			`level=ERROR msg=out calls=3 error=gone times=455`,
			`level=INFO msg=back failures=1000`,
			`level=ERROR msg=out error=again`,
			`level=ERROR msg=out error=still times=1`,
		}
		if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(log.String()), "\n")); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute) // no timer is left
	})
}

// One that comes and goes a thousand times in five seconds, met by many at once, is no more than
// a line and its end.
func TestOutageThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, log := newOutage()
		for range 1000 {
			for _, do := range []func(){func() { o.failed(errors.New("gone")) }, o.worked} {
				var all sync.WaitGroup
				for range 8 {
					all.Go(do)
				}
				all.Wait()
			}
			time.Sleep(4 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if out, back := strings.Count(log.String(), "msg=out"), strings.Count(log.String(), "msg=back"); out != 1 || back != 1 {
			t.Errorf("%d beginnings and %d ends are logged, want one of each:\n%s", out, back, log.String())
		}
	})
}
