package main

import (
	"strings"
	"testing"
)

func TestQuestionsOfTheManual(t *testing.T) {
	all, err := readQuestions()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Errorf("the manual has %d questions, and promises 20", len(all))
	}
	for _, q := range all {
		if !strings.HasPrefix(q.sql, "SELECT") || q.text == "" || strings.HasSuffix(q.sql, ";") {
			t.Errorf("%q is asked by %q", q.text, q.sql)
		}
	}
	if _, err := parseQuestions("```sql\nSELECT 1;\n```\n"); err == nil {
		t.Error("a page without the samples is taken")
	}
}
