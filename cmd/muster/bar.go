package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// barEvery is how often a bar is drawn at most.
const barEvery = 100 * time.Millisecond

// bar is a progress bar on a terminal; elsewhere it shows nothing.
type bar struct {
	out   io.Writer // nil: no terminal
	now   func() time.Time
	drawn time.Time
	wide  int // of the line that stands on the terminal
}

func newBar(env *environment) *bar {
	b := &bar{now: env.now}
	if terminal(env.err) {
		b.out = env.err
	}
	return b
}

// show draws the bar: done of total (0: unknown), a text, and the time that remains (0: unknown).
func (b *bar) show(done, total int64, text string, remaining time.Duration) {
	if b.out == nil || b.now().Sub(b.drawn) < barEvery && done < total {
		return
	}
	b.drawn = b.now()
	const width = 24
	line := ""
	if total > 0 {
		share := min(float64(done)/float64(total), 1)
		full := int(share * width)
		line = fmt.Sprintf("[%s%s] %3.0f%%  ", strings.Repeat("=", full), strings.Repeat(" ", width-full), share*100)
	}
	line += text
	if remaining > 0 {
		line += fmt.Sprintf(", %s left", remaining.Round(time.Second))
	}
	pad := max(b.wide-len(line), 0)
	fmt.Fprintf(b.out, "\r%s%s", line, strings.Repeat(" ", pad))
	b.wide = len(line)
}

// clear takes the bar away, so that something else can be written.
func (b *bar) clear() {
	if b.out != nil && b.wide > 0 {
		fmt.Fprintf(b.out, "\r%s\r", strings.Repeat(" ", b.wide))
		b.wide = 0
	}
}
