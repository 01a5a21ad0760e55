//go:build unix

package pgserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// initdb takes half a second, copying its result 30 ms. So throwaway clusters start
// from a copy that is kept in the user's cache folder, one for each PostgreSQL build.

// cacheFormat is part of the cache's key; raise it when initdb's arguments change.
const cacheFormat = "1"

// cachedData is where the result of initdb is kept.
func (c cluster) cachedData() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(cacheFormat + "\x00" + c.bin.dir + "\x00" + c.bin.full))
	return filepath.Join(base, "muster", "initdb-"+c.bin.version+"-"+hex.EncodeToString(sum[:6])), nil
}

// cacheData keeps a copy of a fresh data folder. Several processes may do so at
// once: each prepares its own, the first one wins, the others' are as good.
func (c cluster) cacheData(data string) error {
	cached, err := c.cachedData()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(cached), 0o700); err != nil {
		return err
	}
	own, err := os.MkdirTemp(filepath.Dir(cached), "unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(own)
	copied := filepath.Join(own, "data")
	if err := copyTree(data, copied, account{}); err != nil {
		return err
	}
	err = os.Rename(copied, cached)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// dropCache forgets the cached copy, which may have been torn by a power failure.
func (c cluster) dropCache() {
	if cached, err := c.cachedData(); err == nil {
		os.RemoveAll(cached)
	}
}

// copyTree copies a data folder, closed to others, and gives the copy to the account.
func copyTree(from, to string, a account) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			err = os.Mkdir(target, 0o700)
		} else {
			err = copyFile(path, target)
		}
		return errors.Join(err, a.own(target))
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
