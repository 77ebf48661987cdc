package cluster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errRunning says that the folder has a running cluster.
var errRunning = errors.New("a cluster is running there")

// owner is the process that serves a cluster.
type owner struct {
	pid int
	run string // tells its cluster from earlier ones in the same folder
}

// lockFile and logFile give the files of the cluster in dir that lie beside its
// folder, which comes and goes: the lock, and the log of who serves it.
func lockFile(dir string) string { return dir + ".jobnetes-lock" }
func logFile(dir string) string  { return dir + ".jobnetes-log" }

// lock is held by the process that serves a cluster, until it ends. Its file
// names the owner.
type lock struct {
	path string
	file *os.File
	own  owner
}

// takeLock takes the lock of the cluster in dir. The error is errRunning if
// another process has it.
func takeLock(dir string) (*lock, error) {
	path := lockFile(dir)
	fail := func(err error) (*lock, error) { return nil, fmt.Errorf("lock %s: %w", path, err) }
	for {
		old, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fail(err)
		}
		err = hold(old)
		if err != nil || !isAt(old, path) { // or another process was faster
			_ = old.Close()
			if err != nil {
				return fail(err)
			}
			continue
		}
		// Nobody must ever see it taken and naming the former owner: so the
		// file is replaced by one that is both.
		l := &lock{path: path, own: owner{pid: os.Getpid(), run: rand.Text()}}
		l.file, err = os.OpenFile(path+".new", os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
		if err == nil {
			_, err = fmt.Fprintln(l.file, l.own.pid, l.own.run)
		}
		if err == nil {
			err = hold(l.file)
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		_ = old.Close()
		if err != nil {
			return fail(err)
		}
		return l, nil
	}
}

// release gives the lock back and removes its file.
func (l *lock) release() error { return errors.Join(os.Remove(l.path), l.file.Close()) }

// hold locks an open file until it is closed, for this process's open file alone
// (fcntl(2), open file description locks), which others can ask about without
// taking it. errRunning if another has it.
func hold(file *os.File) error {
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return errRunning
	}
	return err
}

// isAt says whether an open file is still the one at path.
func isAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

// ownerOf gives the process that serves the cluster in dir; false if none does.
func ownerOf(dir string) (owner, bool, error) {
	file, err := os.Open(lockFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return owner{}, false, nil
	}
	if err != nil {
		return owner{}, false, err
	}
	defer func() { _ = file.Close() }()
	asked := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &asked); err != nil {
		return owner{}, false, fmt.Errorf("ask who has %s: %w", file.Name(), err)
	}
	var o owner
	if _, err := fmt.Fscan(file, &o.pid, &o.run); err != nil || asked.Type == unix.F_UNLCK {
		return owner{}, false, nil // nobody, or somebody who is just about to take it
	}
	return o, true, nil
}
