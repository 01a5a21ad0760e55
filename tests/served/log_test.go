package served

import (
	"bytes"
	"strings"
	"testing"
)

func TestLogAnnouncesWhereItServes(t *testing.T) {
	const log = `{"msg":"started a private PostgreSQL","psql":"psql 'postgres:///muster?host=/tmp/a b&port=5432'"}
not JSON
{"msg":"serving","listen":"127.0.0.1:4711"}
{"msg":"serving","listen":"127.0.0.1:1"}
half a li`
	var passed bytes.Buffer
	w := &watcher{to: &passed, serving: make(chan announcement, 1)}
	for part := range strings.SplitSeq(log, "r") { // a pipe breaks lines anywhere
		if passed.Len() > 0 {
			part = "r" + part
		}
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if passed.String() != log {
		t.Errorf("passed on was %q", passed.String())
	}
	if got, want := <-w.serving, (announcement{"127.0.0.1:4711", "postgres:///muster?host=/tmp/a b&port=5432"}); got != want {
		t.Errorf("announced %+v, want %+v", got, want)
	}
	if tail := string(w.tail()); !strings.Contains(tail, "not JSON") || !strings.HasSuffix(tail, "half a li") {
		t.Errorf("the tail is %q", tail)
	}
}

func TestTailIsShort(t *testing.T) {
	w := &watcher{to: new(bytes.Buffer), serving: make(chan announcement, 1)}
	for range 10 * keptLines {
		if _, err := w.Write([]byte("a line\n")); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(string(w.tail()), "a line"); n != keptLines {
		t.Errorf("%d lines are kept, want %d", n, keptLines)
	}
}
