package pgserver

import "syscall"

// ramDisk returns a folder that is kept in memory and has a gigabyte to spare, or
// "". Containers often have only 64 MB there, which a cluster would overrun.
func ramDisk() string {
	const dir, enough = "/dev/shm", 1 << 30
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil || st.Bavail*uint64(st.Bsize) < enough {
		return ""
	}
	return dir
}
