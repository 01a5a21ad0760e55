package scenario

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Fault is one thing that is wrong in a file of scenarios, and where.
type Fault struct {
	File         string
	Line, Column int // from 1; columns count characters
	Message      string
	Hint         string // what to write instead; may be empty
	Text         string // the line
}

// excerptLength is how much of a long line is shown.
const excerptLength = 100

// Error is the place, the sentence, the line with a caret below the place, and the hint.
func (f *Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	if text := []rune(strings.TrimRight(f.Text, " \t\r")); f.Column > 0 && f.Column <= len(text)+1 {
		start := max(0, min(f.Column-1-excerptLength/2, len(text)-excerptLength))
		end := min(len(text), start+excerptLength)
		before, after := "", ""
		if start > 0 {
			before = "…"
		}
		if end < len(text) {
			after = "…"
		}
		shown := before + string(text[start:end]) + after
		indent := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r // so that the caret stands below its place however wide a tab is
			}
			return ' '
		}, before+string(text[start:f.Column-1]))
		fmt.Fprintf(&b, "\n    %s\n    %s^", shown, indent)
	}
	if f.Hint != "" {
		fmt.Fprintf(&b, "\n    hint: %s", f.Hint)
	}
	return b.String()
}

// Faults are all faults of one or more files, in the order of the text.
type Faults []*Fault

// Error is one fault below the other.
func (fs Faults) Error() string {
	texts := make([]string, len(fs))
	for i, f := range fs {
		texts[i] = f.Error()
	}
	return strings.Join(texts, "\n")
}

// firstLine is the first line of a message, cut to a length that fits a sentence.
func firstLine(text string) string {
	const most = 200
	text, _, _ = strings.Cut(text, "\n")
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return text
}
