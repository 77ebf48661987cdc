// Package machine gives tests what they need of the machine they run on:
// Debian's packages, child processes that end with the test, ports that stay
// free, temporary folders that never outlive the process, and locks between
// test processes.
//
// It needs Linux. Installing packages needs Debian (or a descendant) and root;
// where the commands are installed already, neither.
package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Root gives the folder of this module's go.mod, looked for upwards from the
// working directory, which `go test` makes the package's own.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("find the module's root: %w", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module's root: no go.mod in the working directory or above: run the test with `go test` in the module")
		}
		dir = parent
	}
}

// Output gives the folder test/out of the module, for what people look at after
// a test, such as screenshots. Git ignores it: it holds its own .gitignore.
func Output() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "test", "out")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the folder of test output: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*\n"), 0o644); err != nil {
		return "", fmt.Errorf("hide the folder of test output from git: %w", err)
	}
	return dir, nil
}

// Lock takes the lock that the file at path stands for, among all processes of
// the machine, and waits as long as it takes. The kernel releases it when the
// process ends, however it ends.
func Lock(path string) (release func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return func() { _ = file.Close() }, nil // closing releases; nothing was written that could be lost
}
