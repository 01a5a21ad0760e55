//go:build !unix

package pgserver

import (
	"context"
	"errors"
	"time"
)

// On systems without Unix accounts, signals and file locks a server is only found, never started.

type postmaster struct{ done chan struct{} }

func (*postmaster) stop() error { return nil }

func (*postmaster) linger(time.Duration) error { return errors.ErrUnsupported }

func startPrivate(context.Context, Options) (*Server, error) {
	return nil, &NotFoundError{Looked: []string{"this operating system: private clusters are started on Linux, macOS and the BSDs only"}}
}

// DefaultDir is where the private cluster of the current user would live.
func DefaultDir() (string, error) { return "", errors.ErrUnsupported }
