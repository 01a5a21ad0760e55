package query

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Severity tells what stops a definition from what is merely suspicious.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Codes of errors.
const (
	CodeLex               = "lex_error"
	CodeUnexpectedToken   = "unexpected_token"
	CodeUnknownFunction   = "unknown_function"
	CodeNotBoolean        = "not_boolean"
	CodeNotScalar         = "not_scalar"
	CodeBadChain          = "bad_chain"
	CodeBadArgument       = "bad_argument"
	CodeLiteralOnLeft     = "literal_on_left"
	CodeScopeProperty     = "scope_property"
	CodeScopeParent       = "scope_parent"
	CodeScopeAnyAll       = "scope_any_all"
	CodeAccountQuantifier = "account_event_needs_quantifier"
	CodeEntityUnsupported = "entity_unsupported"
	CodeSessionInAudience = "session_in_audience"
	CodeEventNesting      = "event_nesting"
	CodeBadDuration       = "bad_duration"
	CodeBadPath           = "bad_path"
	CodeBadTypeCast       = "bad_type_cast"
	CodeTooMany           = "too_many_expressions"
	CodeTooLong           = "too_long"
	CodeTooDeep           = "too_deep"
	CodeCycle             = "cycle"
	CodeModeMinimum       = "mode_minimum"
)

// Codes of warnings.
const (
	CodeUnknownEvent = "unknown_event"
	CodeUnknownTrait = "unknown_trait"
	CodeNeverTrue    = "never_true"
	CodeAlwaysTrue   = "always_true"
)

// Limits of a definition.
const (
	MaxLength      = 16 << 10 // bytes of text
	MaxDepth       = 32       // open brackets and junction words around any part
	MaxComparisons = 50       // those inside where included
	MaxEventDepth  = 3        // events inside each other's where

	maxDiagnostics = 20 // more would not be read
)

// Diagnostic is one thing to say about a text, at one place.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
	// Offset is in bytes from the start of the text; Line and Column count from 1,
	// columns in characters.
	Offset  int    `json:"offset"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	// Hint says how to mend it; empty when there is nothing sensible to suggest.
	Hint string `json:"hint,omitempty"`
	// Source is the line of the text that Line counts.
	Source string `json:"source"`
}

// String is the message with its place and hint, on one line.
func (d Diagnostic) String() string {
	s := fmt.Sprintf("%d:%d: %s (%s)", d.Line, d.Column, d.Message, d.Code)
	if d.Hint != "" {
		s += "; " + d.Hint
	}
	return s
}

// maxSourceShown is how much of a line is shown around the caret, in characters.
const maxSourceShown = 100

func (d Diagnostic) render(b *strings.Builder) {
	fmt.Fprintf(b, "%d:%d: %s[%s]: %s\n", d.Line, d.Column, d.Severity, d.Code, d.Message)
	line, caret := []rune(d.Source), d.Column-1
	if from := caret - maxSourceShown*2/3; len(line) > maxSourceShown && from > 0 {
		line, caret = line[from:], caret-from
	}
	line = line[:min(len(line), maxSourceShown)]
	b.WriteString("    ")
	b.WriteString(string(line))
	b.WriteString("\n    ")
	for i := range caret {
		if i < len(line) && line[i] == '\t' {
			b.WriteByte('\t') // so that the caret stands right whatever a tab's width
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteString("^\n")
	if d.Hint != "" {
		fmt.Fprintf(b, "    hint: %s\n", d.Hint)
	}
}

// Diagnostics are what [Compile] has to say, errors and warnings in the order of
// the text.
type Diagnostics []Diagnostic

// Err is nil if there are only warnings, else an error with every error's text.
func (ds Diagnostics) Err() error {
	var lines []string
	for _, d := range ds {
		if d.Severity == Error {
			lines = append(lines, d.String())
		}
	}
	if lines == nil {
		return nil
	}
	return &InvalidError{Diagnostics: ds, text: strings.Join(lines, "\n")}
}

// Render is the text for a terminal: each message with its line and a caret.
func (ds Diagnostics) Render() string {
	var b strings.Builder
	for _, d := range ds {
		d.render(&b)
	}
	return b.String()
}

// InvalidError is the error of a text that is not a definition.
type InvalidError struct {
	Diagnostics Diagnostics
	text        string
}

// Error is one line for each error.
func (e *InvalidError) Error() string { return e.text }

// report collects diagnostics about one text.
type report struct {
	text   string
	found  Diagnostics
	failed bool // an error was found, warnings aside
}

func (r *report) errorf(offset int, code, hint, format string, args ...any) {
	r.add(Error, offset, code, hint, fmt.Sprintf(format, args...))
	r.failed = true
}

func (r *report) warnf(offset int, code, hint, format string, args ...any) {
	r.add(Warning, offset, code, hint, fmt.Sprintf(format, args...))
}

// full says that nothing more would be reported: it is time to give up.
func (r *report) full() bool { return len(r.found) >= maxDiagnostics }

func (r *report) add(severity Severity, offset int, code, hint, message string) {
	if r.full() {
		return
	}
	offset = min(offset, len(r.text))
	for _, d := range r.found {
		if d.Offset == offset && d.Severity == severity && (d.Code == code || severity == Error) {
			return // one fault, one message
		}
	}
	start := strings.LastIndexByte(r.text[:offset], '\n') + 1
	end := len(r.text)
	if i := strings.IndexByte(r.text[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	r.found = append(r.found, Diagnostic{
		Severity: severity, Code: code, Message: message, Hint: hint, Offset: offset,
		Line:   strings.Count(r.text[:offset], "\n") + 1,
		Column: utf8.RuneCountInString(r.text[start:offset]) + 1,
		Source: strings.TrimSuffix(r.text[start:end], "\r"),
	})
}
