package scenario

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"muster/engine"
	"muster/event"
)

// maxLine is the size of the longest line of a file of calls, in bytes.
const maxLine = 1 << 20

// feed is a file of calls, one JSON object a line, plain or gzip.
type feed struct {
	path string
}

// send gives take the calls that are stamped after `after` and not after now, in the
// order of the file and in batches. A call without a time is one of now.
func (f feed) send(ctx context.Context, after, now time.Time, take func(context.Context, []engine.Received) error) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := plainText(file)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(make([]byte, 64<<10), maxLine+1)
	batch := make([]engine.Received, 0, batchSize)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := take(ctx, batch)
		batch = make([]engine.Received, 0, batchSize)
		return err
	}
	number := 0
	for lines.Scan() {
		number++
		line := lines.Bytes()
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")) // a byte order mark
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		c, err := event.Decode(bytes.Clone(line), event.Envelope{
			ReceivedAt: now, Archived: true, MaxBytes: maxLine,
			NewID: func() string { return fmt.Sprintf("muster-test-line-%d", number) },
		})
		if err != nil {
			return fmt.Errorf("%s:%d: %w", f.path, number, err)
		}
		// Not Timestamp: that of a call far ahead has been set to now.
		if t := c.OriginalTimestamp; !t.After(after) || t.After(now) {
			continue
		}
		if batch = append(batch, engine.Received{Call: c, Source: DefaultSource}); len(batch) == batchSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s:%d: the line has more than %d bytes", f.path, number+1, maxLine)
	} else if err != nil {
		return fmt.Errorf("%s:%d: %w", f.path, number+1, err)
	}
	return flush()
}

// plainText is the text of a file that may be compressed.
func plainText(file io.Reader) (io.Reader, error) {
	r := bufio.NewReader(file)
	if magic, _ := r.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return r, nil // a file that cannot be read says so at the first line
	}
	return gzip.NewReader(r)
}
