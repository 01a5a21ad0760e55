package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"muster/event"
)

// importing is an import into the sink with a clock that moves a millisecond at each look.
func importing(sink Sink) Import {
	var looks atomic.Int64
	return Import{Sink: sink, SourceID: 7, Now: func() time.Time {
		return noon.Add(time.Duration(looks.Add(1)) * time.Millisecond)
	}}
}

// log is a file of n good lines with the message ids 1 to n.
func log(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"type":"track","event":"E","userId":"u%d","messageId":"%d","timestamp":"2020-01-01T00:00:00Z","sentAt":"2020-01-01T00:00:05Z"}`+"\n", i%100, i+1)
	}
	return b.String()
}

func TestImportKeepsTheOrderOfTheFile(t *testing.T) {
	n := amount(6_000, 200_000) // several pages at least
	text := log(n)
	for name, r := range map[string]io.Reader{
		"plain":          strings.NewReader(text),
		"gzip":           strings.NewReader(zip(text)),
		"joined gzip":    strings.NewReader(zip(text[:len(text)/2]) + zip(text[len(text)/2:])),
		"one byte reads": iotest.OneByteReader(strings.NewReader(text)),
		"no line feed":   strings.NewReader(strings.TrimSuffix(text, "\n")),
		"Windows":        strings.NewReader("\xef\xbb\xbf" + strings.ReplaceAll(text, "\n", "\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			m := &memory{}
			im := importing(m)
			im.GroupCalls, im.Decoders = 999, 4
			sum, err := im.Run(t.Context(), r)
			if err != nil || sum.Lines != int64(n) || sum.Accepted != int64(n) || sum.Refused != 0 {
				t.Fatalf("summary %+v, %v", sum, err)
			}
			if len(m.stored) != n {
				t.Fatalf("%d calls are stored", len(m.stored))
			}
			last := make(map[string]int) // message id, by user
			for _, it := range m.stored {
				c := it.Call
				id, err := strconv.Atoi(c.MessageID)
				if err != nil || id <= last[c.UserID] || it.SourceID != 7 {
					t.Fatalf("%s of %s and source %d comes after %d", c.MessageID, c.UserID, it.SourceID, last[c.UserID])
				}
				last[c.UserID] = id
				if !c.Timestamp.Equal(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
					t.Fatalf("an archived call is moved to %v", c.Timestamp)
				}
			}
			for _, group := range m.groups {
				if len(group) > 999 {
					t.Errorf("a transaction of %d calls", len(group))
				}
			}
		})
	}
}

func TestImportReportsBadLines(t *testing.T) {
	lines := []string{
		visit("a"),
		`{"type":"page"`,
		``,
		`  `,
		`{"type":"page","userId":""}`,
		visit("b"),
		`{"type":"page","userId":"u","messageId":"long","properties":{"x":"` + strings.Repeat("x", MaxLine) + `"}}`,
		visit("a"),
		`{"type":"page","userId":"gone"}`,
		`[1]`,
		`{"type":"page","userId":"odd"}`,
		padded(`{"type":"page","userId":"u","messageId":"fits","properties":{"x":"PAD"}}`, MaxLine),
		"{\"type\":\"page\",\"userId\":\"\xff\"}",
		`{"type":"page","userId":"u","messageId":"bad"}`,
		visit("c"),
		`{"type":"page","userId":"u"} {}`,
		`{"type":"page","userId":"apart"}`,
		strings.Repeat("y", 3*MaxLine),
	}
	m := &memory{
		unstorable: func(c *event.Call) bool { return c.MessageID == "bad" },
		verdict:    verdictOnUser,
	}
	im := importing(m)
	var bad []string
	im.OnBadLine = func(b BadLine) { bad = append(bad, fmt.Sprint(b.Line, " ", b.Code)) }
	sum, err := im.Run(t.Context(), strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"2 invalid_json", "5 no_user_anon_id", "7 message_too_large", "10 invalid_message", "11 no_identifiers",
		"13 invalid_utf8", "14 unstorable", "16 invalid_json", "18 message_too_large",
	}
	if !slices.Equal(bad, want) {
		t.Errorf("bad lines\n%q, want\n%q", bad, want)
	}
	if sum.Lines != 18 || sum.Skipped != 1 || sum.Accepted != 4 || sum.Duplicate != 1 || sum.Suppressed != 1 || sum.Refused != 9 || sum.RefusedBy["message_too_large"] != 2 {
		t.Errorf("summary %+v", sum)
	}
	if ids := m.messageIDs(); !slices.Equal(ids, []string{"a", "b", "fits", "c"}) {
		t.Errorf("stored %v", ids)
	}
}

// Importing again what has been imported in part stores the rest once, also where
// lines have no message id.
func TestInterruptedImportIsRunAgain(t *testing.T) {
	var b strings.Builder
	for range 3_000 {
		b.WriteString(`{"type":"track","event":"E","userId":"u"}` + "\n") // all the same
	}
	text := zip(b.String())
	m := &memory{}
	left := 4
	m.fail = func([]Item) error {
		if left--; left < 0 {
			return errDown
		}
		return nil
	}
	im := importing(m)
	im.GroupCalls = 500
	sum, err := im.Run(t.Context(), strings.NewReader(text))
	if !errors.Is(err, errDown) || sum.Lines != 2000 || sum.Accepted != 2000 {
		t.Fatalf("summary %+v, %v", sum, err)
	}
	if !strings.Contains(err.Error(), "lines 1 to 2000 are done") || !strings.Contains(err.Error(), "lines 2001 to 2500") {
		t.Errorf("error %v", err)
	}
	m.fail = nil
	sum, err = im.Run(t.Context(), strings.NewReader(text))
	if err != nil || sum.Accepted != 1000 || sum.Duplicate != 2000 || len(m.stored) != 3000 {
		t.Errorf("summary %+v, %v; %d stored", sum, err, len(m.stored))
	}
}

func TestImportOfBrokenFiles(t *testing.T) {
	text := log(5_000)
	zipped := zip(text)
	for _, tt := range []struct {
		name   string
		r      io.Reader
		reason string
		some   bool // what was read before the fault is stored
	}{
		{"gzip cut off", strings.NewReader(zipped[:len(zipped)/2]), "unexpected EOF", true},
		{"gzip damaged", strings.NewReader(zipped[:len(zipped)-8] + "12345678"), "checksum", true},
		{"gzip header", strings.NewReader("\x1f\x8b"), "gzip header", false},
		{"disk fails", io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("bad sector"))), "bad sector", true},
		{"disk fails at once", iotest.ErrReader(errors.New("bad sector")), "bad sector", false},
		{"zstd", strings.NewReader("\x28\xb5\x2f\xfd...."), "zstd", false},
		{"zip", strings.NewReader("PK\x03\x04...."), "zip archive", false},
		{"UTF-16", strings.NewReader("\xff\xfe{\x00"), "UTF-16", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &memory{}
			sum, err := importing(m).Run(t.Context(), tt.r)
			if err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Fatalf("error %v, want %q", err, tt.reason)
			}
			if (len(m.stored) > 100) != tt.some || sum.Accepted != int64(len(m.stored)) || sum.Lines != sum.Accepted {
				t.Errorf("summary %+v, %d stored", sum, len(m.stored))
			}
		})
	}
	m := &memory{}
	if sum, err := importing(m).Run(t.Context(), strings.NewReader("")); err != nil || sum.Lines != 0 || m.attempts != 0 {
		t.Errorf("empty file: %+v, %v", sum, err)
	}
}

func TestImportStopsWithItsContext(t *testing.T) {
	m := &memory{entered: make(chan struct{}, 1), gate: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-m.entered
		cancel()
	}()
	im := importing(m)
	im.GroupCalls = 10
	sum, err := im.Run(ctx, &endless{line: log(1), limit: 100 << 20})
	if !errors.Is(err, context.Canceled) || sum.Lines != 0 {
		t.Errorf("summary %+v, %v", sum, err)
	}
}

func TestImportProgress(t *testing.T) {
	text := zip(log(5_000))
	im := importing(&memory{})
	im.GroupCalls, im.Size = 1_000, int64(len(text))
	var seen []Progress
	im.OnProgress = func(p Progress) { seen = append(seen, p) }
	if _, err := im.Run(t.Context(), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if len(seen) < 5 {
		t.Fatalf("progress %+v", seen)
	}
	for i, p := range seen {
		if i > 0 && (p.Lines < seen[i-1].Lines || p.Read < seen[i-1].Read || p.Elapsed < seen[i-1].Elapsed) || p.LinesPerSecond() <= 0 {
			t.Errorf("progress goes from %+v to %+v", seen[max(0, i-1)], p)
		}
	}
	if last := seen[len(seen)-1]; last.Lines != 5_000 || last.Read != im.Size || last.Remaining() != 0 {
		t.Errorf("last progress %+v", last)
	}
	half := Progress{Read: 50, Size: 200, Lines: 10, Elapsed: 2 * time.Second}
	if half.LinesPerSecond() != 5 || half.Remaining() != 6*time.Second || (Progress{}).LinesPerSecond() != 0 {
		t.Errorf("%v lines a second, %v remaining", half.LinesPerSecond(), half.Remaining())
	}
}

// endless yields the same line again and again, up to limit bytes.
type endless struct {
	line   string
	at     int
	limit  int
	onRead func()
}

func (e *endless) Read(p []byte) (int, error) {
	if e.limit <= 0 {
		return 0, io.EOF
	}
	if e.onRead != nil {
		e.onRead()
	}
	n := copy(p, e.line[e.at:])
	e.at = (e.at + n) % len(e.line)
	e.limit -= n
	return n, nil
}

// A file of any size, or with a line of any length, is imported in the same memory.
func TestImportMemoryIsBounded(t *testing.T) {
	large := `{"type":"page","userId":"u","properties":{"x":"` + strings.Repeat("x", 200_000) + `"}}` + "\n"
	size := amount(32<<20, 1<<30)
	for name, file := range map[string]*endless{
		"large lines":     {line: large, limit: size},
		"one endless one": {line: strings.Repeat("x", 100_000), limit: size},
	} {
		t.Run(name, func(t *testing.T) {
			var peak uint64
			look := func() {
				var stats runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&stats)
				peak = max(peak, stats.HeapAlloc)
			}
			look()
			start, reads := peak, 0
			file.onRead = func() {
				if reads++; reads%25 == 0 { // not always: collecting the garbage takes time
					look()
				}
			}
			im := importing(sinkFunc(func(items []Item) ([]Result, error) { return make([]Result, len(items)), nil }))
			im.GroupBytes = 1 << 20
			sum, err := im.Run(t.Context(), file)
			if err != nil || sum.Lines == 0 {
				t.Fatalf("summary %+v, %v", sum, err)
			}
			if grown := int64(peak - start); grown > 12<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
		})
	}
}

// However a text is read, its chunks are its lines in order, but for those too long.
func TestChunksAreTheLines(t *testing.T) {
	const maxLine = 300 << 10
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(
			rapid.IntRange(0, 50), rapid.IntRange(0, 100<<10), rapid.IntRange(maxLine-2, maxLine+2), rapid.IntRange(0, 900<<10),
		), 0, 5).Draw(t, "line sizes")
		seed := rapid.Uint64().Draw(t, "seed")
		var text []byte
		var want []string
		for i, size := range sizes {
			line := strings.Repeat(string(rune('a'+i)), size)
			text = append(append(text, line...), '\n')
			if size > maxLine {
				line = "too long"
			}
			want = append(want, line)
		}
		if len(sizes) > 0 && sizes[len(sizes)-1] > 0 && seed%2 == 0 {
			text = text[:len(text)-1]
		}
		c := chunker{r: &ragged{text: text, dice: rand.New(rand.NewPCG(seed, 1))}, maxLine: maxLine, line: 1}
		var lines []string
		for {
			chunk, err := c.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if chunk.first != int64(len(lines))+1 {
				t.Fatalf("a chunk begins at line %d, after %d", chunk.first, len(lines))
			}
			if chunk.tooLong {
				lines = append(lines, "too long")
			}
			for line := range bytes.Lines(chunk.text) {
				text := strings.TrimSuffix(string(line), "\n")
				if len(text) > maxLine {
					text = "too long" // read all the same, and refused by its decoder
				}
				lines = append(lines, text)
			}
			if len(chunk.text) > maxLine+2*chunkSize {
				t.Fatalf("a chunk of %d bytes", len(chunk.text))
			}
		}
		if !slices.Equal(lines, want) {
			t.Fatalf("%d lines, want %d", len(lines), len(want))
		}
	})
}

// ragged reads a text in pieces of random sizes.
type ragged struct {
	text []byte
	dice *rand.Rand
}

func (r *ragged) Read(p []byte) (int, error) {
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:1+r.dice.IntN(len(p))], r.text)
	r.text = r.text[n:]
	if len(r.text) == 0 && r.dice.IntN(2) == 0 {
		return n, io.EOF
	}
	return n, nil
}
