//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// takeLock makes the folder of a cluster this process's own. The kernel drops the
// lock with the process, so it is never stale; the pid in the file is only there
// to be shown. The server does not inherit it.
func takeLock(dir string) (release func(), err error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		defer f.Close()
		text, _ := io.ReadAll(f)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text))) // 0 is "not known"
		return nil, &InUseError{Dir: dir, PID: pid}
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	errTruncate := f.Truncate(0)
	_, errWrite := f.WriteAt([]byte(fmt.Sprintln(os.Getpid())), 0)
	if err := errors.Join(errTruncate, errWrite); err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
