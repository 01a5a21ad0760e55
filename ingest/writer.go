package ingest

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/event"
)

// writer stores the lines of an import in groups, in their order.
type writer struct {
	im      Import
	divider *Divider
	began   time.Time
	sum     Summary

	group        []line
	calls, bytes int   // in group
	through      int64 // last line that is in group or done with
	read         int64 // bytes of the file up to about there
}

// run stores pages until there are no more.
func (w *writer) run(ctx context.Context, pages <-chan *page) error {
	for {
		var p *page
		var more bool
		select {
		case p, more = <-pages:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !more {
			return w.flush(ctx)
		}
		select {
		case <-p.decoded:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := w.add(ctx, p); err != nil {
			return err
		}
	}
}

// add takes in a page, and stores the group whenever it is full.
func (w *writer) add(ctx context.Context, p *page) error {
	w.read = p.read
	for _, l := range p.lines {
		w.group = append(w.group, l)
		w.bytes += l.size
		if l.call != nil {
			w.calls++
		}
		w.through = l.number
		if len(w.group) >= w.im.GroupCalls || w.bytes >= w.im.GroupBytes {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
	}
	w.through = p.last
	return nil
}

// store stores calls, divided by person into transactions side by side.
func (w *writer) store(ctx context.Context, items []Item) ([]Result, error) {
	results := make([]Result, len(items))
	g, ctx := errgroup.WithContext(ctx)
	for _, places := range w.divider.Divide(callsOf(items)) {
		g.Go(func() error {
			part, err := store(ctx, w.im.Sink, pick(items, places))
			for i, r := range part {
				results[places[i]] = r
			}
			return err
		})
	}
	return results, g.Wait()
}

// flush stores the calls of the group and counts its lines.
func (w *writer) flush(ctx context.Context) error {
	items := make([]Item, 0, w.calls)
	for _, l := range w.group {
		if l.call != nil {
			items = append(items, Item{SourceID: w.im.SourceID, Call: l.call})
		}
	}
	results, err := w.store(ctx, items)
	if err != nil {
		return fmt.Errorf("store lines %d to %d: %w", w.sum.Lines+1, w.through, err)
	}
	for _, l := range w.group {
		if l.bad != nil {
			w.refuse(l.number, l.bad)
			continue
		}
		w.count(l, results[0])
		results = results[1:]
	}
	clear(w.group) // let go of the calls
	w.group, w.calls, w.bytes = w.group[:0], 0, 0
	w.sum.Lines = w.through
	if w.im.OnProgress != nil {
		w.im.OnProgress(Progress{Read: w.read, Size: w.im.Size, Lines: w.sum.Lines, Elapsed: w.im.Now().Sub(w.began)})
	}
	return nil
}

func (w *writer) count(l line, r Result) {
	switch r.Outcome {
	case Accepted:
		w.sum.Accepted++
	case Duplicate:
		w.sum.Duplicate++
	case Suppressed:
		w.sum.Suppressed++
	case Skipped:
		w.sum.Skipped++
	case Rejected:
		w.refuse(l.number, &event.Rejection{Code: r.Code, Message: "the call cannot be stored"})
	}
}

func (w *writer) refuse(number int64, why *event.Rejection) {
	w.sum.Refused++
	w.sum.RefusedBy[why.Code]++
	if w.im.OnBadLine != nil {
		w.im.OnBadLine(BadLine{Line: number, Rejection: why})
	}
}

func pick(items []Item, places []int) []Item {
	picked := make([]Item, len(places))
	for i, place := range places {
		picked[i] = items[place]
	}
	return picked
}
