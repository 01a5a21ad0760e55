package pgserver

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// socketDSN writes a connection string that pgx and libpq read alike. The host
// may be the folder of a Unix socket.
func socketDSN(host string, port int, user, database, searchPath string) string {
	dsn := fmt.Sprintf("postgres:///%s?host=%s&port=%d&user=%s", url.PathEscape(database), queryEscape(host), port, queryEscape(user))
	if searchPath != "" {
		dsn += "&options=" + queryEscape("-csearch_path="+strings.ReplaceAll(searchPath, " ", ""))
	}
	return dsn
}

// queryEscape is url.QueryEscape for libpq, which does not read + as a space and
// is kinder to the eye with its slashes left alone.
func queryEscape(s string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s))
}

// shellQuote quotes one word for sh.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// serverVersion connects once and returns the version the server tells.
func serverVersion(ctx context.Context, dsn string) (string, error) {
	// An address may also say how large the pool is to be, which is nothing for the server.
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return "", err
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	// "15.18 (Debian 15.18-0+deb12u1)"
	version, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	return version, nil
}

// majorOf reads 15 from "15.18", "16beta1" or "18", and 0 from what is no version.
func majorOf(version string) int {
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		version = version[:digits]
	}
	major, err := strconv.Atoi(version)
	if err != nil {
		return 0
	}
	return major
}
