// Package lab makes fresh systems for scenarios: the real product, each on a database of
// its own, with an imitation of Mixpanel and a clock that stands still.
package lab

import (
	"context"
	"fmt"
	"net/url"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"muster/migrations"
	"muster/scenario"
)

// Lab makes fresh systems for scenarios: a database for each, cloned from one that was
// migrated once, on a PostgreSQL that may be thrown away.
type Lab struct {
	dsn      string // of a database of the server
	template string
	made     atomic.Int64
}

// New prepares a server whose databases may be created and dropped at will.
func New(ctx context.Context, dsn string) (*Lab, error) {
	l := &Lab{dsn: dsn, template: "muster_lab"}
	if err := l.admin(ctx, `DROP DATABASE IF EXISTS `+pgx.Identifier{l.template}.Sanitize()); err != nil {
		return nil, err
	}
	if err := l.admin(ctx, `CREATE DATABASE `+pgx.Identifier{l.template}.Sanitize()); err != nil {
		return nil, err
	}
	address, err := l.address(l.template)
	if err != nil {
		return nil, err
	}
	if _, err := migrations.Up(ctx, address); err != nil {
		return nil, err
	}
	return l, nil
}

// Open is a scenario.Factory.
func (l *Lab) Open(ctx context.Context, setup scenario.Setup) (scenario.System, error) {
	name := fmt.Sprintf("%s_%d", l.template, l.made.Add(1))
	if err := l.admin(ctx, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s`, pgx.Identifier{name}.Sanitize(), pgx.Identifier{l.template}.Sanitize())); err != nil {
		return nil, err
	}
	drop := func() error {
		return l.admin(context.WithoutCancel(ctx), `DROP DATABASE IF EXISTS `+pgx.Identifier{name}.Sanitize()+` WITH (FORCE)`)
	}
	address, err := l.address(name)
	if err != nil {
		return nil, err
	}
	return openTimeline(ctx, address, setup, drop)
}

// admin runs a statement outside of any of the lab's databases.
func (l *Lab) admin(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, l.dsn)
	if err != nil {
		return fmt.Errorf("connect to the database server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("prepare a database for a scenario: %w", err)
	}
	return nil
}

// address is the DSN of another database of the server.
func (l *Lab) address(database string) (string, error) {
	u, err := url.Parse(l.dsn)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("the database address must have the form of a URL (postgres://...) to run scenarios on it")
	}
	u.Path = "/" + database
	return u.String(), nil
}
