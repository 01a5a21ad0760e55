package pgserver

import (
	"strings"
	"testing"
)

func TestPsqlCommandHidesThePassword(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u:s3cret@db.example:6543/shop?sslmode=disable": `psql 'postgres:///shop?host=db.example&port=6543&user=u'`,
		"host=/run/pg user=it's password=s3cret dbname=shop":       `psql 'postgres:///shop?host=/run/pg&port=5432&user=it%27s'`,
		socketDSN("/a b", 5432, "muster", "m", "muster, inspect"):  `psql 'postgres:///m?host=/a%20b&port=5432&user=muster&options=-csearch_path%3Dmuster%2Cinspect'`,
	} {
		if got := PsqlCommand(dsn); got != want {
			t.Errorf("PsqlCommand(%q)\n got %s\nwant %s", dsn, got, want)
		}
	}
}

func TestMajorOf(t *testing.T) {
	for version, want := range map[string]int{"15.18": 15, "18": 18, "16beta1": 16, "": 0, "devel": 0} {
		if got := majorOf(version); got != want {
			t.Errorf("majorOf(%q) = %d, want %d", version, got, want)
		}
	}
}

func TestGivenServer(t *testing.T) {
	_, err := Start(t.Context(), Options{DSN: "postgres://u:s3cret@/x?host=/nonexistent"})
	if err == nil || !strings.Contains(err.Error(), "given PostgreSQL") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}
