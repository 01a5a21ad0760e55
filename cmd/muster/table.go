package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// printTable shows rows as a table for people or as CSV, whose head is in small letters
// with underscores, or v as JSON. A cell that is a dash stands for nothing, and is empty
// as CSV.
func (env *environment) printTable(output string, head []string, rows [][]string, v any) error {
	switch output {
	case "json":
		return env.printJSON(v)
	case "csv":
		w := newTable(env.out)
		names := make([]string, len(head))
		for i, h := range head {
			names[i] = strings.ReplaceAll(strings.ToLower(h), " ", "_")
		}
		if err := w.Write(names); err != nil {
			return err
		}
		for _, row := range rows {
			for i, cell := range row {
				if cell == "-" {
					row[i] = ""
				}
			}
		}
		return w.WriteAll(rows)
	}
	w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, tableRow(row))
	}
	return w.Flush()
}
