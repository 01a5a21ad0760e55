//go:build unix

package pgserver

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// settings are PostgreSQL settings for a machine with so many megabytes of memory
// that also does other things. In a private cluster ALTER SYSTEM wins over them.
func settings(o Options, memoryMB int) map[string]string {
	s := map[string]string{
		"max_connections":      "100",
		"shared_buffers":       megabytes(clamp(memoryMB/8, 128, 4096)),
		"effective_cache_size": megabytes(clamp(memoryMB/2, 512, 65536)),
		"maintenance_work_mem": megabytes(clamp(memoryMB/32, 64, 1024)),
		"work_mem":             "16MB",
		"max_wal_size":         "2GB",
		"checkpoint_timeout":   "15min",
		"random_page_cost":     "1.1", // solid state disks
		"jit":                  "off", // short statements: compiling them costs more than it saves
		"timezone":             "UTC",
		"log_timezone":         "UTC",
		"lc_messages":          "C",
		// A week of logs, one file a day, overwritten by the next week's.
		"logging_collector":        "on",
		"log_directory":            "log",
		"log_filename":             "postgresql-%a.log",
		"log_rotation_age":         "1d",
		"log_rotation_size":        "0",
		"log_truncate_on_rotation": "on",
	}
	if o.Throwaway {
		maps.Copy(s, map[string]string{
			"fsync":              "off",
			"synchronous_commit": "off",
			"full_page_writes":   "off",
			"wal_level":          "minimal",
			"max_wal_senders":    "0",
			"shared_buffers":     megabytes(clamp(memoryMB/16, 32, 512)),
			"logging_collector":  "off", // what it says goes to start.log
			// In the cluster's own folder, so that a killed server leaves nothing behind elsewhere.
			"dynamic_shared_memory_type": "mmap",
		})
	}
	maps.Copy(s, o.Settings)
	return s
}

// settingsFile writes settings in the language of postgresql.conf.
func settingsFile(s map[string]string) []byte {
	var b strings.Builder
	b.WriteString("# Written anew at each start. To change a setting for good, use ALTER SYSTEM.\n")
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(s[name], "'", "''"))
	}
	return []byte(b.String())
}

func megabytes(n int) string { return strconv.Itoa(n) + "MB" }

func clamp(n, low, high int) int { return min(max(n, low), high) }

// memoryMB is the memory this process may count on: that of the machine, or of
// the container if it is less. Where neither is told (not Linux) it is 4 GB.
func memoryMB() int {
	const unknown = 4096
	mb := unknown
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 && fields[0] == "MemTotal:" {
			if kb, err := strconv.Atoi(fields[1]); err == nil {
				mb = kb / 1024
			}
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // else "max"
			mb = min(mb, int(limit/(1<<20)))
		}
	}
	return mb
}
