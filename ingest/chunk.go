package ingest

import (
	"bytes"
	"errors"
	"io"
)

// chunkSize is how much text is read and decoded at a time, in bytes.
const chunkSize = 256 << 10

// chunk is a run of whole lines of a file, or one line that is too long to be read.
type chunk struct {
	first   int64  // number of its first line, from 1
	text    []byte // the lines, each with its line feed, but for the last of the file
	tooLong bool   // the line has more than maxLine bytes and no text here
}

// chunker cuts a text into chunks, in memory bounded by chunkSize and maxLine.
type chunker struct {
	r       io.Reader
	maxLine int
	line    int64  // number of the next line
	rest    []byte // read but not yet given out
	err     error  // how reading ended; io.EOF at the end of the text
}

// next returns the next chunk, whose text is its own. Behind the last it returns
// io.EOF, or the error that reading ended with; a line that was cut by an error is lost.
func (c *chunker) next() (chunk, error) {
	text := append(make([]byte, 0, max(chunkSize, len(c.rest)+1)), c.rest...)
	c.rest = nil
	end := bytes.LastIndexByte(text, '\n') + 1 // of the last whole line
	for {
		atEOF := errors.Is(c.err, io.EOF)
		if atEOF && len(text)-end <= c.maxLine {
			end = len(text) // the last line of a text may lack its line feed
		}
		switch {
		case end > 0 && (c.err != nil || len(text) == cap(text)):
			c.rest = text[end:]
			return c.whole(text[:end:end]), nil //nolint:nilerr // c.err is for the call after the last whole line
		case end == 0 && len(text) > c.maxLine && (c.err == nil || atEOF):
			return c.skipLine(), nil
		case c.err != nil:
			return chunk{}, c.err
		}
		if len(text) == cap(text) {
			text = append(text, 0)[:len(text)]
		}
		var n int
		n, c.err = c.r.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if last := bytes.LastIndexByte(text[len(text)-n:], '\n'); last >= 0 {
			end = len(text) - n + last + 1
		}
	}
}

func (c *chunker) whole(text []byte) chunk {
	first := c.line
	c.line += int64(bytes.Count(text, []byte{'\n'}))
	return chunk{first: first, text: text}
}

// skipLine reads on to the end of a line that is too long.
func (c *chunker) skipLine() chunk {
	long := chunk{first: c.line, tooLong: true}
	c.line++
	buf := make([]byte, chunkSize)
	for c.err == nil {
		var n int
		n, c.err = c.r.Read(buf)
		if end := bytes.IndexByte(buf[:n], '\n'); end >= 0 {
			c.rest = buf[end+1 : n]
			break
		}
	}
	return long
}
