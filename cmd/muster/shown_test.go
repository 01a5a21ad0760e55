package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

func TestShownIsHarmless(t *testing.T) {
	var b bytes.Buffer
	text := "a\x1b[2Jb\x07c\u009bd\u202ee\r\nf\tg\u2028h\u2067 größer שלום 😀\x00"
	if n, err := fmt.Fprint(shown{&b}, text); err != nil || n != len(text) {
		t.Fatal(n, err)
	}
	if want := "a?[2Jb?c?d?e?\nf\tg?h? größer שלום 😀?"; b.String() != want {
		t.Errorf("shown is %q, want %q", b.String(), want)
	}
	if row := tableRow([]string{"a\tb", "c\nd"}); row != "a?b\tc?d" {
		t.Errorf("the row is %q", row)
	}
}

// A cell that a spreadsheet would compute is marked as a text; all others are left alone.
func TestTableHasNoFormulas(t *testing.T) {
	var b bytes.Buffer
	rows := [][]string{
		{`=HYPERLINK("http://x","y")`, "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"},
		{"-2.5", "+4915112345678", "a=b", "", "'=1", "1e5"},
	}
	if err := newTable(shown{&b}).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	want := `"'=HYPERLINK(""http://x"",""y"")",'+cmd|' /C calc'!A0,'-2+3,'@SUM(A1),'` + "\t=1,\"'\r=1\"\n" +
		"-2.5,+4915112345678,a=b,,'=1,1e5\n"
	if b.String() != want {
		t.Errorf("the table is\n%q, want\n%q", b.String(), want)
	}
	if strings.Contains(b.String(), "?") {
		t.Error("what programs read was changed")
	}
}

// Jobs are given a device in the place of a terminal, which looks like one and answers nothing.
func TestNoTerminalWhereNobodyAnswers(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if terminal(null) {
		t.Error("the empty device counts as a terminal")
	}
	var errs bytes.Buffer
	env := &environment{in: null, out: io.Discard, err: &errs}
	if code := run(t.Context(), env, []string{"profile", "delete", "user_id:kim"}); code != exitUsage || !strings.Contains(errs.String(), "repeat it with --yes") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}
