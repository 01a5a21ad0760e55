package pgtest

import "testing"

func TestWithDatabase(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres:///postgres?host=/dev/shm/x&port=5432&user=muster": "postgres:///t1?host=%2Fdev%2Fshm%2Fx&options=-csearch_path%3Dmuster&port=5432&user=muster",
		"postgresql://u:p%20w@h:1/a?sslmode=disable&dbname=b":        "postgresql://u:p%20w@h:1/t1?options=-csearch_path%3Dmuster&sslmode=disable",
		"host=/run user=u dbname=a":                                  "host=/run user=u dbname=a dbname='t1' options='-csearch_path=muster'",
	} {
		if got := withDatabase(dsn, "t1"); got != want {
			t.Errorf("withDatabase(%q)\n got %s\nwant %s", dsn, got, want)
		}
	}
}
