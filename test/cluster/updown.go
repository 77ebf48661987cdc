package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNotRunning says that a folder has no running cluster.
var ErrNotRunning = errors.New("no cluster is running")

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
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout+startTimeout)
	defer cancel()
	for {
		if ready, err := isReady(dir); ready || err != nil {
			return err
		}
		pid, ended, err := startServing(dir, simulated)
		if err != nil {
			return err
		}
		err = awaitReady(ctx, dir, logFile(dir), ended)
		if errors.Is(err, errGone) {
			continue
		}
		if o, _, errOwner := ownerOf(dir); err == nil && errOwner == nil && o.pid != pid {
			for range ended { // another one was faster: this one must not take over when that one ends
				continue
			}
		}
		return err
	}
}

// startServing starts a process that serves a cluster in dir and outlives this
// one.
func startServing(dir string, simulated int) (pid int, ended <-chan error, err error) {
	log, err := os.OpenFile(logFile(dir), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("/proc/self/exe", "serve", "--dir", dir, "--simulated-nodes", strconv.Itoa(simulated))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	done := make(chan error, 1)
	go func() {
		done <- cmd.Wait()
		close(done)
	}()
	return cmd.Process.Pid, done, nil
}

// errGone says that the cluster of another process was waited for in vain, as when
// it was just being ended.
var errGone = errors.New("the cluster that was there has ended")

// awaitReady waits until the cluster in dir is ready. ended tells of the process
// that was started to serve it, and log is its log. It is errGone if another
// process served one, which has ended.
func awaitReady(ctx context.Context, dir, log string, ended <-chan error) error {
	for {
		ready, err := isReady(dir)
		if ready || err != nil {
			return err
		}
		_, running, err := ownerOf(dir)
		if err != nil {
			return err
		}
		if ended == nil && !running {
			return errGone
		}
		select {
		case failed := <-ended:
			said, err := os.ReadFile(log)
			if err != nil || !strings.Contains(string(said), errRunning.Error()) {
				return errors.Join(fmt.Errorf("start the cluster: %w: %s", failed, strings.TrimSpace(string(said))), err)
			}
			ended = nil // another process has been faster, or is not gone yet
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not ready: %w: it goes on starting, `down` ends it; its logs are in %s", context.Cause(ctx), dir)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// isReady says whether the cluster that is running in dir can run pods.
func isReady(dir string) (bool, error) {
	o, running, err := ownerOf(dir)
	if err != nil || !running {
		return false, err
	}
	run, err := os.ReadFile(filepath.Join(dir, readyFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return string(run) == o.run, err
}

// killAfter is how long Down waits for a cluster that is asked to end.
const killAfter = 15 * time.Second

// Down ends the cluster in the folder dir and removes all of it. It is no error
// if there is none. One that is started meanwhile stays.
func Down(ctx context.Context, dir string) error {
	dir, err := checkFolder(dir)
	if err != nil {
		return err
	}
	began := time.Now()
	var end owner // whom to end: not one who starts a cluster meanwhile
	for {
		l, err := takeLock(dir)
		if err == nil {
			err = errors.Join(remove(dir), l.release())
			if logErr := os.Remove(logFile(dir)); !errors.Is(logErr, os.ErrNotExist) {
				err = errors.Join(err, logErr)
			}
			return err
		}
		if !errors.Is(err, errRunning) {
			return err
		}
		o, running, err := ownerOf(dir)
		switch {
		case err != nil:
			return err
		case running && end.pid != 0 && o != end:
			return nil
		case running:
			end = o
			if err := askToEnd(o, time.Since(began)); err != nil {
				return fmt.Errorf("end process %d of the cluster in %s: %w", o.pid, dir, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster in %s does not end: %w", dir, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// askToEnd asks a process that serves a cluster to end, and kills it if it has been
// asked for long: the box ends with it.
func askToEnd(o owner, asked time.Duration) error {
	signal := syscall.SIGTERM
	if asked > killAfter {
		signal = syscall.SIGKILL
	}
	if err := syscall.Kill(o.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Load loads the images of tarballs into the cluster in dir.
func Load(ctx context.Context, dir string, tarballs []string) error {
	dir, err := checkFolder(dir)
	if err != nil {
		return err
	}
	if _, running, err := ownerOf(dir); err != nil || !running {
		return fmt.Errorf("%w in %s: start one with `make cluster`", ErrNotRunning, dir)
	}
	for _, tarball := range tarballs {
		if err := loadImage(ctx, dir, tarball); err != nil {
			return err
		}
	}
	return nil
}
