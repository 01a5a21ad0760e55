package pgtest

import (
	"fmt"
	"net/url"
	"strings"

	"muster/migrations"
)

// withDatabase points a DSN, in either of libpq's forms, at another database of
// its server, with the search path that the product uses.
func withDatabase(dsn, database string) string {
	const options = "-csearch_path=" + migrations.Schema
	u, err := url.Parse(dsn)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return fmt.Sprintf("%s dbname='%s' options='%s'", dsn, database, options) // the last mention counts
	}
	u.Path = "/" + database
	query := u.Query()
	query.Del("dbname")
	query.Set("options", options)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // libpq does not read + as a space
	return u.String()
}
