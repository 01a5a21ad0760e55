package main

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
)

// shown is a stream that people read. What clients have sent, such as names of events and
// values of traits, may hold control characters: they could move the cursor, rewrite what
// stands above, or reverse the order of the letters. They become question marks.
type shown struct{ io.Writer }

// Write implements io.Writer.
func (s shown) Write(p []byte) (int, error) {
	text := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, string(p))
	if _, err := io.WriteString(s.Writer, text); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unshown is the stream itself, for what programs read.
func unshown(w io.Writer) io.Writer {
	if s, ok := w.(shown); ok {
		return s.Writer
	}
	return w
}

// harmless is a text for a column: a tabulator or the end of a line would feign another.
func harmless(text string) string { return strings.Map(visible, text) }

// visible replaces characters that do something to others.
func visible(r rune) rune {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0: // control characters
		return '?'
	case r == 0x2028, r == 0x2029: // ends of lines
		return '?'
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // turn the direction of writing
		return '?'
	}
	return r
}

// tableRow are cells with tabulators between them, for a tabwriter.
func tableRow(cells []string) string {
	safe := make([]string, len(cells))
	for i, c := range cells {
		safe[i] = harmless(c)
	}
	return strings.Join(safe, "\t")
}

// table writes CSV in which no cell is a formula to a spreadsheet.
type table struct{ *csv.Writer }

func newTable(w io.Writer) table { return table{csv.NewWriter(unshown(w))} }

// Write writes a row.
func (t table) Write(cells []string) error {
	safe := make([]string, len(cells))
	for i, c := range cells {
		safe[i] = noFormula(c)
	}
	return t.Writer.Write(safe)
}

// WriteAll writes rows and flushes them.
func (t table) WriteAll(rows [][]string) error {
	for _, row := range rows {
		if err := t.Write(row); err != nil {
			return err
		}
	}
	t.Flush()
	return t.Error()
}

// noFormula puts an apostrophe before what a spreadsheet would compute, as those mark texts.
// Numbers, also those of telephones, stay as they are.
func noFormula(cell string) string {
	if cell == "" || !strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return cell
	}
	if _, err := strconv.ParseFloat(cell, 64); err == nil {
		return cell
	}
	return "'" + cell
}
