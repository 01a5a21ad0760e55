package pgtest

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"

	"muster/internal/pgserver"
)

// container starts PostgreSQL in Docker, for machines that have that but not
// PostgreSQL. The container removes itself after half an hour: no code of ours is
// sure to run when the process ends.
func container(ctx context.Context) (string, error) {
	pool, err := dockertest.NewPool("")
	if err != nil {
		return "", err
	}
	if err := pool.Client.Ping(); err != nil {
		return "", err
	}
	c, err := pool.RunWithOptions(&dockertest.RunOptions{
		Repository: "postgres",
		Tag:        fmt.Sprint(pgserver.NewestMajor),
		Env:        []string{"POSTGRES_PASSWORD=muster"},
		Cmd:        []string{"postgres", "-c", "fsync=off", "-c", "full_page_writes=off"},
	}, func(h *docker.HostConfig) { h.AutoRemove = true })
	if err != nil {
		return "", err
	}
	if err := c.Expire(uint((30 * time.Minute).Seconds())); err != nil {
		return "", err
	}
	dsn := fmt.Sprintf("postgres://postgres:muster@%s/postgres?sslmode=disable", c.GetHostPort("5432/tcp"))
	return dsn, pool.Retry(func() error {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}
