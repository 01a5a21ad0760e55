package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// countingReader counts what has been read through it.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// magics are the first bytes of files that are no plain text and no gzip.
var magics = []struct{ start, what string }{
	{"\x28\xb5\x2f\xfd", "compressed with zstd"},
	{"\xfd7zXZ\x00", "compressed with xz"},
	{"BZh", "compressed with bzip2"},
	{"PK\x03\x04", "a zip archive"},
	{"\xff\xfe", "UTF-16 text"},
	{"\xfe\xff", "UTF-16 text"},
}

// plainText unpacks r if it is gzip, which it tells by its first bytes.
func plainText(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	start, err := buffered.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the beginning: %w", err)
	}
	if bytes.HasPrefix(start, []byte("\x1f\x8b")) {
		text, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("read the gzip header: %w", err)
		}
		return text, nil
	}
	for _, m := range magics {
		if bytes.HasPrefix(start, []byte(m.start)) {
			return nil, fmt.Errorf("the file is %s; convert it to plain UTF-8 or gzip, one JSON object a line", m.what)
		}
	}
	return buffered, nil
}
