package ground_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"muster/tests/served"
)

// smallDisk mounts a file system of its own on a folder that anybody may enter.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if testing.Short() || os.Geteuid() != 0 {
		t.Skip("only root may mount a file system")
	}
	dir, err := served.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("ground", dir, "tmpfs", 0, "size="+size+",mode=755"); err != nil {
		_ = os.Remove(dir) // it is empty
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for part := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(part)
	}
	for err = nil; err == nil; {
		_, err = f.Write(make([]byte, 4096))
	}
}

// The disk of the database is full. Calls are answered 503, and either /readyz says so, or, when
// PostgreSQL gives up, muster ends and says why. With room made it goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{private: smallDisk(t, "140m")})
	c := startTraffic(w.muster.URL())
	c.must(t, 10)
	filler := filepath.Join(w.dir, "filler")
	fill(t, filler)
	ended := false
	eventually(t, 30*time.Second, "muster says that it cannot store", func() bool {
		code, text := w.get("/readyz")
		ended = code == 0
		return ended || code == http.StatusServiceUnavailable && (strings.Contains(text, "could not be stored") || strings.Contains(text, "does not answer"))
	})
	t.Logf("muster has ended: %t; errors in the log: %v", ended, w.errors())
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	// PostgreSQL may end a moment later, too.
	eventually(t, 30*time.Second, "muster serves again", func() bool {
		code, _ := w.get("/readyz")
		if code == 0 {
			if err := w.muster.Wait(); err == nil {
				t.Error("muster ended as if all were well")
			}
			w.start()
			c.moveTo(w.muster.URL())
		}
		return code == http.StatusOK
	})
	c.must(t, 10)
	w.check(c)
	if !strings.Contains(w.log.String(), "No space left on device") && !strings.Contains(w.log.String(), "the private PostgreSQL has ended; see its log in ") {
		t.Error("the log says neither that the disk is full nor where to look")
	}
}

// A folder that cannot be written to is named, with what can be done.
func TestFolderNotWritable(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "1m")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "pg")
	code, text := runMuster(t, nil, "serve", "--data", data, "--listen", "127.0.0.1:0", "--config", empty(t))
	if code != 1 || !strings.Contains(text, data) || !strings.Contains(text, "read-only file system") || !strings.Contains(text, "--data") {
		t.Errorf("serve ends with %d and says %s", code, text)
	}
}
