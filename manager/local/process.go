package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// process identifies the first process of a container, which leads its process
// group, so that what is left of the group can be told from strangers that got
// the same numbers later.
type process struct {
	PID     int `json:"pid"`
	Session int `json:"session"`
	// Start is when it started, in clock ticks since the computer did.
	Start uint64 `json:"start"`
	// Boot is the computer's boot id.
	Boot string `json:"boot"`
}

// disinherit keeps the files that this process was given by the one that
// started it from the processes that it starts: Jobs outlive it, and would keep
// a lock or a pipe of the terminal's busy. Go's own files are safe anyway.
func disinherit() error {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return fmt.Errorf("list the open files: %w", err)
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// signalGroup sends sig to every process of the group. A group without a
// process is no error.
func signalGroup(pgid int, sig syscall.Signal) error {
	if err := syscall.Kill(-pgid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process group %d: %w", pgid, err)
	}
	return nil
}

// lookPath finds the program called name in the folders of path, a PATH.
// os/exec would look in the PATH of this process instead of the container's.
func lookPath(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		if filepath.IsAbs(file) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("exec: %q: not found in PATH: %w", name, fs.ErrNotExist)
}

// getenv is the last value of the variable in env, as a process would see it.
func getenv(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}
