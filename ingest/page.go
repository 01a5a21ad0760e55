package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"muster/event"
)

// page is a chunk of a file on its way through an import.
type page struct {
	chunk
	read    int64         // bytes of the file that had been read when the chunk was complete
	decoded chan struct{} // closed when the fields below are set

	lines []line // without the empty ones
	last  int64  // number of the last line
}

// line is a line that has been decoded: a call or a rejection.
type line struct {
	number int64
	size   int // bytes
	call   *event.Call
	bad    *event.Rejection
}

// readPages cuts the text of r into pages and sends each of them both ways.
func readPages(ctx context.Context, r io.Reader, ways ...chan<- *page) error {
	file := &countingReader{r: r}
	text, err := plainText(file)
	if err != nil {
		return err
	}
	chunks := chunker{r: text, maxLine: MaxLine, line: 1}
	for {
		c, err := chunks.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read line %d: %w", chunks.line, err)
		}
		p := &page{chunk: c, read: file.n, decoded: make(chan struct{})}
		for _, way := range ways {
			select {
			case way <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// decode reads the lines of the page.
func (p *page) decode(now time.Time) {
	p.last = p.first
	if p.tooLong {
		p.lines = []line{{number: p.first, bad: &event.Rejection{
			Code: event.CodeMessageTooLarge, Message: fmt.Sprintf("the line has more than %d bytes", MaxLine),
		}}}
		return
	}
	number := p.first - 1
	var text []byte
	env := event.Envelope{ReceivedAt: now, Archived: true, MaxBytes: MaxLine}
	env.NewID = func() string { return lineID(number, text) }
	for text = range bytes.Lines(p.text) {
		number++
		if number == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // a byte order mark
		}
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		l := line{number: number, size: len(text)}
		var err error
		if l.call, err = event.Decode(text, env); err != nil && !errors.As(err, &l.bad) {
			panic("ingest: decoding failed with something else than a rejection: " + err.Error())
		}
		p.lines = append(p.lines, l)
	}
	p.last = number
}

// lineID is the message id of a line that has none: the same whenever the same line
// stands in the same place.
func lineID(number int64, text []byte) string {
	h := sha256.New()
	h.Write(strconv.AppendInt(nil, number, 10))
	h.Write([]byte{' '})
	h.Write(text)
	return "import-" + hex.EncodeToString(h.Sum(nil)[:16])
}
