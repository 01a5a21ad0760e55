package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
	"time"
)

// line is a measure over the time of a soak.
type line struct {
	name  string
	value func(vitals) float64
}

// chart is a part of the graph: lines over one axis, which begins at 0.
type chart struct {
	title string
	lines []line
}

func megabytes(part string) line {
	return line{part, func(v vitals) float64 { return v.Tables[part].bytes() / 1e6 }}
}

// charts are what the graph shows: what must not grow, and in the end what may.
var charts = []chart{
	{"events taken in, per second", []line{{"", func(v vitals) float64 { return v.EventsPerSecond }}}},
	{"answer, ms from when a request is due", []line{
		{"p50", func(v vitals) float64 { return v.P50 }},
		{"p99", func(v vitals) float64 { return v.P99 }},
	}},
	{"oldest message that waits for Mixpanel, s", []line{{"", func(v vitals) float64 { return v.OldestSeconds }}}},
	{"memory of muster, MB", []line{{"", func(v vitals) float64 { return v.MusterMemory / 1e6 }}}},
	{"processors in use", []line{
		{"muster", func(v vitals) float64 { return v.MusterCores }},
		{"PostgreSQL", func(v vitals) float64 { return v.PostgreSQLCores }},
	}},
	{"dead rows that wait for vacuum, thousands", []line{{"", func(v vitals) float64 { return float64(v.DeadRows) / 1e3 }}}},
	{"tables and indexes by people and definitions, MB", []line{megabytes("people"), megabytes("computed"), megabytes(rest)}},
	{"tables and indexes by events, MB", []line{megabytes("event log"), megabytes("message ids"), megabytes("history")}},
}

// The places of the graph, in pixels.
const (
	columns      = 2
	chartWidth   = 480
	chartHeight  = 190
	headHeight   = 46
	leftOfPlot   = 58
	rightOfPlot  = 14
	topOfPlot    = 34
	bottomOfPlot = 30
)

var colours = []string{"#1f6feb", "#d1570a", "#2a7e3b"}

// draw is the soak as an SVG picture.
func (r *soakReport) draw() []byte {
	var b bytes.Buffer
	rows := (len(charts) + columns - 1) / columns
	width, height := columns*chartWidth, headHeight+rows*chartHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="11">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<title>%s</title>`+"\n"+`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n", html.EscapeString(r.About))
	m := r.Machine
	text(&b, 16, 20, `font-size="14" font-weight="600" fill="#1f2328"`, r.About)
	text(&b, 16, 37, `fill="#59636e"`, fmt.Sprintf("%s; %s, %d cores, PostgreSQL %s; load of the machine %.1f before, %.1f after; minutes from left to right",
		r.Began.Format(time.DateOnly), m.Processor, m.Cores, m.PostgreSQL, m.LoadBefore, m.LoadAfter))
	for i, c := range charts {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%columns*chartWidth, headHeight+i/columns*chartHeight)
		c.draw(&b, r.Looks)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func text(b *bytes.Buffer, x, y float64, style, content string) {
	fmt.Fprintf(b, `<text x="%s" y="%s" %s>%s</text>`+"\n", pixel(x), pixel(y), style, html.EscapeString(content))
}

// draw draws the chart with its left upper corner at 0, 0.
func (c chart) draw(b *bytes.Buffer, looks []vitals) {
	top, end := 0.0, 0.0
	for _, v := range looks {
		end = math.Max(end, v.Minute)
		for _, l := range c.lines {
			top = math.Max(top, l.value(v))
		}
	}
	top, step := scale(top)
	const w, h = chartWidth - leftOfPlot - rightOfPlot, chartHeight - topOfPlot - bottomOfPlot
	x := func(minute float64) float64 { return leftOfPlot + w*minute/math.Max(end, 1e-9) }
	y := func(value float64) float64 { return topOfPlot + h*(1-value/top) }

	text(b, leftOfPlot, 14, `font-weight="600" fill="#1f2328"`, c.title)
	for v := 0.0; v <= top*1.001; v += step {
		fmt.Fprintf(b, `<path d="M%d %sh%d" stroke="#d8dee4"/>`+"\n", leftOfPlot, pixel(y(v)), w)
		text(b, leftOfPlot-6, y(v)+4, `text-anchor="end" fill="#59636e"`, strconv.FormatFloat(v, 'g', 6, 64))
	}
	_, every := scale(end)
	for minute := 0.0; minute <= end; minute += every {
		text(b, x(minute), chartHeight-bottomOfPlot+15, `text-anchor="middle" fill="#59636e"`, strconv.FormatFloat(minute, 'g', 6, 64))
	}
	at := float64(leftOfPlot)
	for i, l := range c.lines {
		var path strings.Builder
		for k, v := range looks {
			fmt.Fprintf(&path, "%c%s %s", "ML"[min(k, 1)], pixel(x(v.Minute)), pixel(y(l.value(v))))
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5" stroke-linejoin="round"/>`+"\n", path.String(), colours[i])
		if l.name != "" {
			text(b, at, 27, fmt.Sprintf(`fill="%s"`, colours[i]), l.name)
			at += 7*float64(len(l.name)) + 16
		}
	}
}

// scale is an upper end of an axis that holds a value, and the distance of its marks: 1, 2
// or 5 times a power of ten, of which there are three to six.
func scale(most float64) (top, step float64) {
	if most <= 0 {
		return 1, 0.5
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, s := range []float64{0.2, 0.5, 1, 2} {
		if step = s * power; most/step <= 5 {
			break
		}
	}
	return math.Ceil(most/step) * step, step
}

func pixel(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
