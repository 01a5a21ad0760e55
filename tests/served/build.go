package served

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BinaryVariable is the environment variable that names a muster to run instead of one
// that is built.
const BinaryVariable = "MUSTER_BINARY"

// Build builds muster into a folder and returns the program's path, or the path in
// $MUSTER_BINARY. It needs the go command, and has to be called within the module.
func Build(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		return filepath.Abs(path)
	}
	program := filepath.Join(dir, "muster")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "muster/cmd/muster").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build muster: %w\n%s", err, out)
	}
	return program, nil
}

// TempDir makes a folder in which muster can keep its private PostgreSQL: other than
// those of package testing, the account that runs PostgreSQL for root may enter it.
func TempDir() (string, error) {
	dir, err := os.MkdirTemp("", "muster-served-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}
