package ingest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/event"
)

// MaxLine is the size of the longest line that Import takes, in bytes.
const MaxLine = 1 << 20

// Import reads calls from a file, one JSON object a line, plain or gzip, of any size
// in bounded memory. Sink, SourceID and Now are required; Now and Sink
// are called from several goroutines.
//
// Lines are decoded in parallel and stored group by group. A group is divided by person
// into transactions that run side by side, and the next one waits for all of them: the
// calls of a profile apply in the order of the file. A call without a message id
// gets one made from the line's number and text: importing a file again, for
// instance after an interruption, stores nothing twice.
type Import struct {
	Sink     Sink
	SourceID int64
	Now      func() time.Time

	Size       int64 // bytes of the file as it lies on disk, for progress; 0 when unknown
	GroupCalls int   // calls stored at a time; default 10,000
	GroupBytes int   // their lines together, which bounds the memory; default 16 MiB
	Lanes      int   // transactions that a group is divided into, by person; default: the processors, at least 2
	Decoders   int   // lines are decoded in so many goroutines; default 2

	// OnBadLine and OnProgress, if set, are called from one goroutine, in the order of
	// the file: for each line that was not taken, and after each group.
	OnBadLine  func(BadLine)
	OnProgress func(Progress)
}

// BadLine is a line that was not taken.
type BadLine struct {
	Line int64 // from 1
	*event.Rejection
}

// Progress is how far an import has come.
type Progress struct {
	Read, Size int64 // bytes of the file, as they lie on disk; Size is 0 when unknown
	Lines      int64 // done with, bad ones and empty ones included
	Elapsed    time.Duration
}

// LinesPerSecond is the average so far, 0 at the beginning.
func (p Progress) LinesPerSecond() float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Lines) / p.Elapsed.Seconds()
}

// Remaining is the time that the rest of the file takes at the average speed so far,
// 0 when that is unknown.
func (p Progress) Remaining() time.Duration {
	if p.Size <= p.Read || p.Read == 0 {
		return 0
	}
	return time.Duration(float64(p.Elapsed) * float64(p.Size-p.Read) / float64(p.Read))
}

// Summary counts what became of the lines of a file. Empty lines are in Lines only.
type Summary struct {
	Lines      int64 // all of them are stored or refused
	Accepted   int64
	Duplicate  int64
	Suppressed int64
	Skipped    int64
	Refused    int64
	RefusedBy  map[event.Code]int64 // Refused, by reason
}

// Run imports the text in r. It ends early when ctx ends, the sink fails or r cannot be
// read; the summary then tells how many lines are done with, and the import may
// simply be run again. A read that blocks keeps Run from returning.
func (im Import) Run(ctx context.Context, r io.Reader) (Summary, error) {
	im.GroupCalls = cmp.Or(im.GroupCalls, 10_000)
	im.GroupBytes = cmp.Or(im.GroupBytes, 16<<20)
	im.Lanes = cmp.Or(im.Lanes, max(runtime.GOMAXPROCS(0), 2))
	im.Decoders = cmp.Or(im.Decoders, 2)

	// Pages take two ways at once: through work to whichever decoder is free, and
	// through inOrder to the writer, who waits for each to be decoded.
	work := make(chan *page, 2*im.Decoders)
	inOrder := make(chan *page, 2*im.Decoders)
	var broken error // how reading failed; what was read before is stored all the same
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(inOrder)
		defer close(work)
		broken = readPages(ctx, r, inOrder, work)
		return nil
	})
	for range im.Decoders {
		g.Go(func() error {
			for p := range work {
				p.decode(im.Now())
				close(p.decoded)
			}
			return nil
		})
	}
	w := writer{im: im, divider: NewDivider(im.Lanes), began: im.Now(), sum: Summary{RefusedBy: map[event.Code]int64{}}}
	g.Go(func() error { return w.run(ctx, inOrder) })
	err := g.Wait()
	if err = cmp.Or(err, broken); err != nil {
		return w.sum, fmt.Errorf("import stopped, lines 1 to %d are done: %w", w.sum.Lines, err)
	}
	return w.sum, nil
}
