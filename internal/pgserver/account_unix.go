//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that runs the server. PostgreSQL refuses to run as root, so
// root hands its programs and their folders to another user.
type account struct {
	name     string
	uid, gid uint32
	other    bool // not the user of this process, which then is root
}

// serverAccount picks the user for the cluster in dir: this user; for root the
// owner of an existing cluster, else postgres, else nobody.
func serverAccount(dir string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	if st, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		if owner := st.Sys().(*syscall.Stat_t); owner.Uid != 0 {
			u, err := user.LookupId(strconv.Itoa(int(owner.Uid)))
			if err != nil {
				return account{}, fmt.Errorf("the cluster in %s belongs to user id %d, which has no entry in /etc/passwd: add one, or chown the folder to postgres", dir, owner.Uid)
			}
			return accountOf(u)
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return accountOf(u)
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody: create one, or run as a normal user")
}

func accountOf(u *user.User) (account, error) {
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return account{}, fmt.Errorf("user %s: %w", u.Username, err)
	}
	return account{name: u.Username, uid: uint32(uid), gid: uint32(gid), other: true}, nil
}

// attributes let a command run as the account, in a session of its own: a
// terminal's Ctrl-C must reach muster alone, which then stops its server in order.
func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if a.other {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// own gives a file or folder to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// canPass tells whether the account may go through the folder (mode bits only).
func (a account) canPass(dir string) (bool, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	owner, mode := st.Sys().(*syscall.Stat_t), st.Mode().Perm()
	switch {
	case owner.Uid == a.uid:
		return mode&0o100 != 0, nil
	case owner.Gid == a.gid:
		return mode&0o010 != 0, nil
	default:
		return mode&0o001 != 0, nil
	}
}

// closedParent returns the first folder above path that keeps the account out, or "".
// Folders that do not exist yet are skipped: they will be made passable.
func (a account) closedParent(path string) (string, error) {
	if !a.other {
		return "", nil
	}
	closed := ""
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		ok, err := a.canPass(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if err == nil && !ok {
			closed = dir
		}
		if dir == filepath.Dir(dir) {
			return closed, nil
		}
	}
}
