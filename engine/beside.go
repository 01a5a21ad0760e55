package engine

import (
	"context"
	"sync"
)

// pieces is the work of one transaction, piece by piece.
type pieces[P any] struct {
	// next locks the profiles of the next piece; false: there is none.
	next func(context.Context) (P, bool, error)
	// prepare reads the piece and evaluates it.
	prepare func(context.Context, Reader, P) error
	// finish writes the piece.
	finish func(context.Context, P) error
}

// do prepares each piece beside the writing of the one before and the locking of the one
// after, on a connection of its own: two processors are busy with one transaction. That
// is safe because nobody else changes what is stored of a locked profile before this
// transaction ends, and this one only changes it when it finishes the piece. With one
// piece, or without a free connection, all goes in turn. Up to three pieces are in memory
// at once.
func (w pieces[P]) do(ctx context.Context, tx Tx) error {
	piece, some, err := w.next(ctx)
	if err != nil || !some {
		return err
	}
	following, more, err := w.next(ctx)
	if err != nil {
		return err
	}
	var beside Reader
	if more {
		var release func()
		if beside, release, err = tx.Beside(ctx); err != nil {
			return err
		}
		if beside != nil {
			defer release()
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	prepare := func(p P) chan error {
		prepared := make(chan error, 1)
		if beside == nil {
			prepared <- w.prepare(ctx, tx, p)
			return prepared
		}
		running.Go(func() { prepared <- w.prepare(ctx, beside, p) })
		return prepared
	}
	prepared := prepare(piece)
	for {
		if err := <-prepared; err != nil {
			return err
		}
		if more {
			prepared = prepare(following)
		}
		if err := w.finish(ctx, piece); err != nil || !more {
			return err
		}
		piece = following
		if following, more, err = w.next(ctx); err != nil {
			return err
		}
	}
}
