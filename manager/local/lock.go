package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked by another process")

// lockFile takes the exclusive lock on the file at path, without waiting, and
// notes this process's id in it. unlock gives the lock up, and so does the end
// of the process. The error is errLocked if another process holds it,
// fs.ErrNotExist if the file is gone or was replaced meanwhile.
func lockFile(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockOpen(f, path); err != nil {
		return nil, errors.Join(err, unlock(f))
	}
	return f, nil
}

// unlock gives the lock up. To close the file is not enough: a process that is
// being forked at the moment has a copy of it until it executes its program.
func unlock(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

func lockOpen(f *os.File, path string) error {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return errLocked
	case err != nil:
		return fmt.Errorf("flock %s: %w", path, err)
	}
	// The folder may have been removed, and made anew, since it was opened: the
	// lock is worth something only on the file that has the path now.
	if !stillAt(f, path) {
		return fmt.Errorf("lock %s: %w", path, fs.ErrNotExist)
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

// isLocked tells whether another process holds the lock on the open file, which
// need no longer have a path.
func isLocked(f *os.File) (bool, error) {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("flock %s: %w", f.Name(), err)
	}
	return false, unix.Flock(int(f.Fd()), unix.LOCK_UN)
}

// stillAt tells whether the open file is the one that has the path.
func stillAt(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err == nil && os.SameFile(mine, now)
}

// lockHolder is the id of the process that took the lock last; 0 if unknown.
func lockHolder(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return 0
	}
	return pid
}

// signalHolder sends sig to the process that holds the lock at path. A lock
// that nobody holds is no error.
func signalHolder(path string, sig os.Signal) error {
	pid := lockHolder(path)
	if pid == 0 || pid == os.Getpid() {
		return nil
	}
	// The handle is opened first and the lock checked after: if it is still
	// held, then by the process that the handle stands for.
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil
	}
	defer func() { _ = p.Release() }()
	f, err := lockFile(path, 0)
	if err == nil {
		return unlock(f)
	}
	if !errors.Is(err, errLocked) || lockHolder(path) != pid {
		return nil
	}
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d, which holds %s: %w", pid, path, err)
	}
	return nil
}
