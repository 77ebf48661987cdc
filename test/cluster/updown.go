package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotRunning says that a folder has no running cluster.
var ErrNotRunning = errors.New("no cluster is running")

// errRunning says that the folder has a running cluster.
var errRunning = errors.New("a cluster is running there")

// Up starts a cluster with a node in the folder dir, which goes on after this
// process, and returns when it can run pods. One that is running already stays
// as it is; what one that has crashed left is removed first.
func Up(ctx context.Context, dir string, simulated int) error {
	dir, err := checkFolder(dir)
	if err != nil {
		return err
	}
	// Built here, so that what takes long is seen.
	if _, err := buildPrograms(ctx); err != nil {
		return err
	}
	log, err := os.OpenFile(dir+".log", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("/proc/self/exe", "serve", "--dir", dir, "--simulated-nodes", strconv.Itoa(simulated))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return awaitReady(ctx, dir, log.Name(), ended)
}

// awaitReady waits until the cluster in dir is ready. ended tells of the process
// that serves it, and log is its log.
func awaitReady(ctx context.Context, dir, log string, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout+startTimeout)
	defer cancel()
	for {
		if _, err := os.Stat(filepath.Join(dir, readyFile)); err == nil && running(dir) {
			return nil
		}
		select {
		case err := <-ended:
			if !running(dir) {
				said, _ := os.ReadFile(log)
				return fmt.Errorf("start the cluster: %w: %s", err, strings.TrimSpace(string(said)))
			}
			ended = nil // somebody else has started it meanwhile
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not ready: %w: the logs are in %s", context.Cause(ctx), dir)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Down ends the cluster in the folder dir and removes all of it. It is no error
// if there is none.
func Down(ctx context.Context, dir string) error {
	dir, err := checkFolder(dir)
	if err != nil {
		return err
	}
	for {
		lock, err := takeLock(dir)
		if err == nil {
			err = errors.Join(remove(dir), os.Remove(dir+".lock"), lock.Close())
			if logErr := os.Remove(dir + ".log"); !errors.Is(logErr, os.ErrNotExist) {
				err = errors.Join(err, logErr)
			}
			return err
		}
		if !errors.Is(err, errRunning) {
			return err
		}
		if err := askToEnd(dir); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster in %s does not end: %w", dir, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// askToEnd sends SIGTERM to the process that serves the cluster in dir.
func askToEnd(dir string) error {
	text, err := os.ReadFile(dir + ".lock")
	if err != nil {
		return err
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if pid <= 0 {
		return nil // the process is just writing it
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end process %d of the cluster in %s: %w", pid, dir, err)
	}
	return nil
}

// Load loads the images of tarballs into the cluster in dir.
func Load(ctx context.Context, dir string, tarballs []string) error {
	dir, err := checkFolder(dir)
	if err != nil {
		return err
	}
	if !running(dir) {
		return fmt.Errorf("%w in %s: start one with `make cluster`", ErrNotRunning, dir)
	}
	for _, tarball := range tarballs {
		if err := loadImage(ctx, dir, tarball); err != nil {
			return err
		}
	}
	return nil
}

// takeLock takes the lock that the process which serves a cluster holds, and
// notes this process in it. The lock lies beside the folder, which comes and
// goes. The error is errRunning if another process has it.
func takeLock(dir string) (io.Closer, error) {
	for {
		file, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = errRunning
			}
			return nil, errors.Join(fmt.Errorf("lock %s.lock: %w", dir, err), file.Close())
		}
		if isAt(file, dir+".lock") {
			err = errors.Join(file.Truncate(0), writeID(file))
			return file, err
		}
		_ = file.Close() // Down has removed it meanwhile
	}
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

// writeID writes this process's id.
func writeID(w io.Writer) error {
	_, err := fmt.Fprintln(w, os.Getpid())
	return err
}

// running says whether a process serves the cluster in dir.
func running(dir string) bool {
	file, err := os.Open(dir + ".lock")
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	return unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}
