package served

import (
	"bytes"
	"io"
	"regexp"
	"sync"

	"github.com/go-json-experiment/json"
)

// announcement is what the log tells of a muster that serves.
type announcement struct {
	listen   string // host:port
	database string // address of the private PostgreSQL; empty for a given one
}

// keptLines is how much of the log is shown when muster does not start.
const keptLines = 20

// watcher passes a log on and looks out for the line that says that muster serves.
type watcher struct {
	to      io.Writer
	serving chan announcement

	mu       sync.Mutex
	rest     []byte // of a line that is not complete
	last     [][]byte
	database string
}

// quoted finds the address in the command that opens psql.
var quoted = regexp.MustCompile(`'(postgres[^']*)'`)

// Write implements io.Writer.
func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, complete := bytes.Cut(w.rest, []byte{'\n'})
		if !complete {
			return w.to.Write(p)
		}
		w.read(line)
		w.last = append(w.last, bytes.Clone(line))
		w.last = w.last[max(0, len(w.last)-keptLines):]
		w.rest = rest
	}
}

func (w *watcher) read(line []byte) {
	var entry struct {
		Msg    string `json:"msg"`
		Listen string `json:"listen"`
		Psql   string `json:"psql"`
	}
	if json.Unmarshal(line, &entry) != nil {
		return
	}
	if m := quoted.FindStringSubmatch(entry.Psql); m != nil {
		w.database = m[1]
	}
	if entry.Msg == "serving" && entry.Listen != "" {
		select {
		case w.serving <- announcement{entry.Listen, w.database}:
		default: // it has been said before
		}
	}
}

// tail is the end of the log.
func (w *watcher) tail() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(bytes.Join(w.last, []byte{'\n'}), w.rest...)
}
