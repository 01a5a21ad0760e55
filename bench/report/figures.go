package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"muster/bench/result"
)

// number shows three digits, as much as a repetition would confirm, with thousands apart.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	places := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	scale := math.Pow(10, float64(places))
	text := strconv.FormatFloat(math.Round(v*scale)/scale, 'f', max(places, 0), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return thousands(text)
}

// exact shows all of a count.
func exact(v float64) string { return thousands(strconv.FormatFloat(v, 'f', 0, 64)) }

func thousands(text string) string {
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest == "" {
		return whole
	}
	return whole + "." + rest
}

// rates and times are measured; everything else of these units is counted.
func counted(unit string) bool {
	switch unit {
	case "ms", "s", "us", "MB", "cores", "% of a core":
		return false
	}
	return !strings.Contains(unit, "/")
}

// amount shows a value with its unit.
func amount(v float64, unit string) string {
	switch {
	case unit == "ms" && v >= 1000:
		return number(v/1000) + " s"
	case unit == "s" && v != 0 && v < 0.1:
		return number(v*1000) + " ms"
	case strings.HasPrefix(unit, "% "):
		return number(v) + " " + unit
	case counted(unit):
		return exact(v) + " " + unit
	case strings.HasPrefix(unit, "us"):
		return number(v) + " µs" + strings.TrimPrefix(unit, "us")
	}
	return number(v) + " " + unit
}

// value and against show what was measured, and what its baseline took.
func value(l result.Line) string   { return amount(l.Value, l.Unit) }
func against(l result.Line) string { return amount(l.Against, l.Unit) }

// each is a value whose unit the text names: 3 µs of 3 µs/call.
func each(l result.Line) string {
	text, _, _ := strings.Cut(value(l), "/")
	return text
}

// times shows how a measurement compares with its baseline.
func times(l result.Line) string {
	switch {
	case l.Baseline == "" || l.Speed == 0:
		return ""
	case l.Unit == "ms" || l.Unit == "s" || l.Unit == "us":
		if l.Speed < 1 {
			return number(1/l.Speed) + " times as long"
		}
		return number(l.Speed) + " times as fast"
	case l.Speed > 1:
		return number(l.Speed) + " times as much"
	}
	return number(l.Speed) + " of it"
}

// baseline shows what a measurement is compared with.
func baseline(l result.Line) string {
	if l.Baseline == "" {
		return ""
	}
	return fmt.Sprintf("%s: %s", l.Baseline, against(l))
}
